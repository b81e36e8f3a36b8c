-- Tenants and who belongs to them. Every later table that belongs to someone carries workspace_id, refers to
-- its neighbours through (workspace_id, id), and has row-level security on and forced.

DO $$
BEGIN
    -- Roles belong to the cluster, not to the database, so another database may have made them already.
    BEGIN CREATE ROLE muster_app NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END;
    BEGIN CREATE ROLE muster_chores NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END;
    EXECUTE format('GRANT muster_app TO %I', current_user);
    EXECUTE format('GRANT muster_chores TO %I', current_user);
    EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO muster_app', current_database());
END $$;

-- muster_app is what Muster works as: it owns nothing and obeys row-level security.
-- muster_chores owns the few functions that look across tenants (0004); nobody logs in as it.
GRANT USAGE ON SCHEMA public TO muster_app;
GRANT USAGE, CREATE ON SCHEMA public TO muster_chores;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO muster_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO muster_app;

CREATE EXTENSION IF NOT EXISTS vector;

-- Unset, or set and gone with its transaction (''), both mean: no workspace, no rows.
CREATE FUNCTION current_workspace() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
RETURN nullif(current_setting('app.current_workspace_id', true), '')::uuid;

CREATE FUNCTION current_user_id() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
RETURN nullif(current_setting('app.current_user_id', true), '')::uuid;

-- PostgreSQL has uuidv7() from 18 on; this also serves 17.
CREATE FUNCTION new_id() RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE
RETURN encode(
    set_bit(set_bit(overlay(
        uuid_send(gen_random_uuid())
        PLACING substring(int8send(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3)
        FROM 1 FOR 6), 52, 1), 53, 1),
    'hex')::uuid;

CREATE TYPE member_role AS ENUM ('viewer', 'member', 'admin', 'owner');
CREATE TYPE project_status AS ENUM ('active', 'archived');

CREATE TABLE users (
    id         uuid PRIMARY KEY,
    email      text NOT NULL UNIQUE CHECK (length(email) BETWEEN 3 AND 320),
    name       text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE workspaces (
    id                    uuid PRIMARY KEY,
    slug                  text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$'),
    name                  text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    max_concurrent_agents integer NOT NULL DEFAULT 20 CHECK (max_concurrent_agents BETWEEN 1 AND 10000),
    version               bigint NOT NULL DEFAULT 1,
    created_at            timestamptz NOT NULL DEFAULT now(),
    updated_at            timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE workspace_members (
    workspace_id uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
    user_id      uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    role         member_role NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, user_id)
);
CREATE INDEX workspace_members_by_user ON workspace_members (user_id);

CREATE TABLE projects (
    id           uuid PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
    slug         text NOT NULL CHECK (slug ~ '^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$'),
    name         text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    description  text CHECK (length(description) <= 10000),
    status       project_status NOT NULL DEFAULT 'active',
    version      bigint NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    UNIQUE (workspace_id, id),
    UNIQUE (workspace_id, slug)
);
CREATE INDEX projects_by_age ON projects (workspace_id, created_at DESC, id DESC);

ALTER TABLE users ENABLE ROW LEVEL SECURITY;
ALTER TABLE users FORCE ROW LEVEL SECURITY;
CREATE POLICY own_or_fellow ON users TO muster_app USING (
    id = (SELECT current_user_id())
    OR EXISTS (SELECT 1 FROM workspace_members m
               WHERE m.user_id = users.id AND m.workspace_id = (SELECT current_workspace()))
);

ALTER TABLE workspaces ENABLE ROW LEVEL SECURITY;
ALTER TABLE workspaces FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON workspaces TO muster_app USING (id = (SELECT current_workspace()));

ALTER TABLE workspace_members ENABLE ROW LEVEL SECURITY;
ALTER TABLE workspace_members FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON workspace_members TO muster_app USING (workspace_id = (SELECT current_workspace()));

ALTER TABLE projects ENABLE ROW LEVEL SECURITY;
ALTER TABLE projects FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON projects TO muster_app USING (workspace_id = (SELECT current_workspace()));
