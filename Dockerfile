# syntax=docker/dockerfile:1
# One image, whose commands are `muster api`, `muster worker` and `muster migrate`. The servers it talks to
# (Temporal, PostgreSQL, Valkey) are not in it: see docker-compose.yml.

FROM python:3.11.17-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /opt/muster
WORKDIR /src
COPY requirements-server.txt ./
# Before the sources, so that a change of ours does not install everything anew. Wheels only: nothing is compiled.
RUN /opt/muster/bin/pip install --require-hashes --only-binary :all: -r requirements-server.txt
COPY pyproject.toml README.md LICENSE worker.py ./
COPY workflows workflows
COPY activities activities
COPY api api
COPY muster muster
RUN /opt/muster/bin/pip install --no-deps . \
    && /opt/muster/bin/python -m pip uninstall --yes pip setuptools

FROM python:3.11.17-slim
# A fixed number, so that volumes and security policies can name it. Agents run as this user, in its home.
RUN useradd --uid 10001 --user-group --create-home --home-dir /var/lib/muster --shell /usr/sbin/nologin muster
COPY --from=build /opt/muster /opt/muster
ENV PATH=/opt/muster/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    MUSTER_HOME=/var/lib/muster
USER 10001:10001
WORKDIR /var/lib/muster
EXPOSE 8700
ENTRYPOINT ["muster"]
CMD ["api"]
# Whoever runs `muster worker` checks with `muster worker --healthcheck`, as docker-compose.yml does.
HEALTHCHECK --interval=10s --timeout=8s --start-period=30s --retries=3 CMD ["muster", "api", "--healthcheck"]
