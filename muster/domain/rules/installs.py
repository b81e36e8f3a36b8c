"""What a command installs: which of its words are packages, and which are what an option is set to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from muster.domain.rules.options import given
from muster.domain.rules.steps import Step
from muster.domain.rules.text import unique

_HANDLES = re.compile(
    r"(?:pip[\d.]*|pipx|conda|mamba|micromamba|brew|apt(?:-get)?|dnf|yum|apk|gem|cargo|npm|pnpm|yarn|bun|go|poetry|uv|"
    r"pdm|composer|bundle) (?:-\S+ )*(?:(?:tool|global|self) )?"
    r"(?:install|add|i|get|update|upgrade|ci|sync|remove|uninstall|require)\b"
)
_VERBS = frozenset("install add i get update upgrade up ci sync require".split())  # noqa: SIM905
_BEFORE_VERBS = ("tool", "global", "self")
_LIST_ONLY = ("apt", "apt-get", "aptitude", "apk", "brew")
"""Those whose `update` installs nothing."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_OF_PIP = _words(
    """
    -r --requirement --requirements -c --constraint --constraints -e --editable -i --index-url --extra-index-url -f
    --find-links -t --target --platform --python-version --implementation --abi --root --prefix --src
    --upgrade-strategy -C --config-settings --config-setting --global-option --install-option --no-binary --only-binary
    --progress-bar --root-user-action --report --cache-dir --timeout --retries --proxy --trusted-host --cert
    --client-cert --log --exists-action --python --use-feature --use-deprecated --build-constraint --group
    --resume-retries --keyring-provider
    """
)
_OF_UV = _OF_PIP | _words(
    """
    -p --index --default-index --index-strategy --resolution --prerelease --exclude-newer --link-mode -P
    --upgrade-package --refresh-package --reinstall-package --extra --override --overrides --project --directory
    --python-platform --torch-backend --color --config-file -b --build-constraints --optional --package --with
    --with-editable --with-requirements --with-executables-from --tag --branch --rev --bounds -m --marker --script
    --no-group --only-group --no-extra --no-install-package --no-build-package --no-binary-package --fork-strategy
    --allow-insecure-host
    """
)
_OF_NPM = _words(
    """
    --prefix -w --workspace --registry --tag --save-prefix --cache --userconfig --globalconfig --loglevel --omit
    --include -C --install-strategy --before --cpu --os --libc --location
    """
)
_OF_APT = _words("-t --target-release --default-release -o --option -c --config-file -a --host-architecture")
_OF_DNF = _words(
    """
    --repo --repoid --enablerepo --disablerepo -x --exclude -c --config --releasever --setopt --installroot -d -e
    --disableplugin --enableplugin --forcearch --advisory --rpmverbosity --downloaddir --destdir --comment
    """
)
_OF_CONDA = _words(
    """
    -c --channel -n --name -p --prefix --file -f --solver --experimental-solver --revision --subdir --platform
    --repodata-fn -r --root-prefix --rc-file --channel-priority
    """
)
_VALUED: dict[str, frozenset[str]] = {
    "pip": _OF_UV,
    "uv": _OF_UV,
    "pipx": _words("--python --pip-args -i --index-url --suffix --spec --backend --preinstall -r --requirement"),
    "poetry": _words(
        "-G --group -E --extras --python --platform --source --only --with --without -P --project -C --directory "
        "--markers"
    ),
    "pdm": _words("-G --group -p --project -L --lockfile --venv -e --editable -x --config-setting --without"),
    "conda": _OF_CONDA,
    "mamba": _OF_CONDA,
    "micromamba": _OF_CONDA,
    "npm": _OF_NPM,
    "pnpm": _words("-C --dir -F --filter --filter-prod --reporter --registry --store-dir --loglevel"),
    "yarn": _words("--cwd --modules-folder --registry --cache-folder --network-timeout --mutex --mode --tag"),
    "bun": _words("--cwd --registry -c --config --backend --filter -F --network-concurrency --cache-dir --omit --ca"),
    "apt": _OF_APT,
    "apt-get": _OF_APT,
    "aptitude": _OF_APT,
    "dnf": _OF_DNF,
    "yum": _OF_DNF,
    "apk": _words(
        "-t --virtual -p --root -X --repository --repositories-file --keys-dir --cache-dir --cache-max-age --arch "
        "--wait --progress-fd --timeout"
    ),
    "brew": _words("--cc --appdir --fontdir --language --bottle-arch --env"),
    "gem": _words("-v --version -i --install-dir -n --bindir -s --source -P --trust-policy -p --http-proxy --platform"),
    "cargo": _words(
        """
        -F --features --rename --target --target-dir --manifest-path -p --package --registry --git --branch --tag --rev
        --path --vers --version --bin --example --root --index --profile -j --jobs --color --config -Z --base
        --lockfile-path --precise -C
        """
    ),
    "go": _words(
        "-C -p -ldflags -gcflags -asmflags -tags -mod -modfile -o -overlay -pkgdir -toolexec -pgo -installsuffix "
        "-compiler -buildmode -gccgoflags -coverpkg"
    ),
    "composer": _words("-d --working-dir --ignore-platform-req --prefer-install --apcu-autoloader-prefix"),
    "bundle": _words(
        "-v --version -g --group -s --source --git --branch --ref --path -r --require --gemfile --without --with -j "
        "--jobs --retry"
    ),
}
_LISTS = ("-r", "--requirement", "--requirements", "--file", "--with-requirements")
"""Options whose value is a file of what is installed."""
_EDITABLE, _SOURCES = ("-e", "--editable"), ("--git", "--path")
"""Options whose value is where a package is; it may have its name beside them."""
_NO_NAME = re.compile(r"[\d.]*|\+.*|.*[$`{};|].*|-", re.DOTALL)
_ADDRESS = re.compile(r"https?://\S*")
_PACKED = re.compile(r"\.(?:whl|zip|tgz|tar(?:\.\w{1,4})?|deb|rpm|git|gem|rb|apk)(?:[@#?].*)?$", re.DOTALL)
_HERE = re.compile(r"\.{1,3}/?(\[[^\]]{0,200}\])?|\./\.\.\.")
_ALL = "the dependencies"


class Installed(NamedTuple):
    what: str
    everything: bool
    """Whatever is missing, as a file of them says."""


def handles_packages(step: Step) -> bool:
    return _HANDLES.match(step.bare) is not None or installed(step) is not None


def installed(step: Step) -> Installed | None:
    program = re.sub(r"^pip[\d.]+$", "pip", step.name)
    if program not in _VALUED:
        return None
    operands, values = given(step.words[1:], _VALUED[program])
    if operands[:1] and operands[0] in _BEFORE_VERBS:
        operands = operands[1:]
    if operands[:1] == [] or operands[0] not in _VERBS or (operands[0] == "update" and program in _LIST_ONLY):
        return None
    lists = [value for option, value in values if value and option in _LISTS]
    if program in ("conda", "mamba", "micromamba", "bundle"):
        lists = [value for option, value in values if value and option == "--file"]
    places = [value for option, value in values if value and option in _EDITABLE]
    if len(operands) == 1:
        places += [value for option, value in values if value and option in _SOURCES]
    names = unique(map(_named, [*places, *operands[1:]]), 8)
    return _told(names, unique(lists, 3), asked=len(operands) > 1 or bool(places))


def _named(word: str) -> str:
    """Nothing where it is no package: a number is what an option was set to that is not known here."""
    if here := _HERE.fullmatch(word):
        return f"the project {here[1]}" if here[1] else "the project"
    if _NO_NAME.fullmatch(word) or (_ADDRESS.fullmatch(word) and not _PACKED.search(word)):
        return ""
    return word


def _told(names: Sequence[str], lists: Sequence[str], *, asked: bool) -> Installed:
    whole = [f"{_ALL} of {', '.join(path.rpartition('/')[2] for path in lists)}"] if lists else []
    if not names and not whole:
        return Installed("packages" if asked else _ALL, everything=not asked)
    everything = bool(lists) or any(name.startswith(("the project", "./", "../")) for name in names)
    return Installed(", ".join([*names, *whole]), everything)
