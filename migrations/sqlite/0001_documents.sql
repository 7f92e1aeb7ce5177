-- Every version of every document; a deleted version has an empty spec.
CREATE TABLE versions (
  kind TEXT NOT NULL,
  id TEXT NOT NULL,
  version INTEGER NOT NULL CHECK (version > 0),
  revision INTEGER NOT NULL CHECK (revision > 0),
  spec BLOB NOT NULL,
  owner TEXT NOT NULL,
  created_us INTEGER NOT NULL,
  updated_us INTEGER NOT NULL,
  actor TEXT NOT NULL,
  deleted INTEGER NOT NULL CHECK (deleted IN (0, 1)),
  UNIQUE (kind, id, version)
);

CREATE INDEX versions_revision ON versions (revision);

-- Which version is current. A deleted document has no row.
CREATE TABLE documents (
  kind TEXT NOT NULL,
  id TEXT NOT NULL,
  version INTEGER NOT NULL,
  PRIMARY KEY (kind, id),
  FOREIGN KEY (kind, id, version) REFERENCES versions (kind, id, version)
) WITHOUT ROWID;

CREATE TABLE document_keys (
  key_index TEXT NOT NULL,
  value TEXT NOT NULL,
  kind TEXT NOT NULL,
  id TEXT NOT NULL,
  PRIMARY KEY (key_index, value),
  FOREIGN KEY (kind, id) REFERENCES documents (kind, id) DEFERRABLE INITIALLY DEFERRED
) WITHOUT ROWID;

CREATE INDEX document_keys_document ON document_keys (kind, id);

CREATE TABLE document_references (
  kind TEXT NOT NULL,
  id TEXT NOT NULL,
  to_kind TEXT NOT NULL,
  to_id TEXT NOT NULL,
  PRIMARY KEY (kind, id, to_kind, to_id),
  FOREIGN KEY (kind, id) REFERENCES documents (kind, id) DEFERRABLE INITIALLY DEFERRED,
  FOREIGN KEY (to_kind, to_id) REFERENCES documents (kind, id) DEFERRABLE INITIALLY DEFERRED
) WITHOUT ROWID;

CREATE INDEX document_references_to ON document_references (to_kind, to_id, kind, id);

-- Remembered answers of writes that carried an Idempotency-Key.
CREATE TABLE replays (
  scope TEXT NOT NULL,
  key TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  answer BLOB NOT NULL,
  at_us INTEGER NOT NULL,
  PRIMARY KEY (scope, key)
) WITHOUT ROWID;

CREATE INDEX replays_at ON replays (at_us);
