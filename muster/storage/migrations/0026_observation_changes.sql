-- What an observation said before a change, and after it. Not in the activity log, which nobody can take anything out of:
-- this goes with the observation when that is forgotten. It is the activity row's by the observation and the moment.

CREATE TABLE observation_changes (
    workspace_id   uuid NOT NULL,
    project_id     uuid NOT NULL,
    observation_id uuid NOT NULL,
    at             timestamptz NOT NULL DEFAULT now(),
    before         jsonb NOT NULL,
    after          jsonb NOT NULL,
    PRIMARY KEY (workspace_id, observation_id, at),
    FOREIGN KEY (workspace_id, project_id, observation_id) REFERENCES observations (workspace_id, project_id, id)
        ON DELETE CASCADE
);
REVOKE UPDATE, DELETE ON observation_changes FROM muster_app;
ALTER TABLE observation_changes ENABLE ROW LEVEL SECURITY;
ALTER TABLE observation_changes FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON observation_changes TO muster_app USING (workspace_id = (SELECT current_workspace()));
CREATE POLICY reach ON observation_changes AS RESTRICTIVE TO muster_app USING
    ((SELECT reaches_all()) OR project_id = (SELECT current_project()));
