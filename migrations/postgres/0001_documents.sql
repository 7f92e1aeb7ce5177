-- Every version of every document; a deleted version has an empty spec. Texts sort by code point.
CREATE TABLE versions (
  kind TEXT COLLATE "C" NOT NULL,
  id TEXT COLLATE "C" NOT NULL,
  version BIGINT NOT NULL CHECK (version > 0),
  revision BIGINT NOT NULL CHECK (revision > 0),
  place BIGINT GENERATED ALWAYS AS IDENTITY,
  spec BYTEA NOT NULL,
  owner TEXT NOT NULL,
  created_us BIGINT NOT NULL,
  updated_us BIGINT NOT NULL,
  actor TEXT NOT NULL,
  deleted BOOLEAN NOT NULL,
  PRIMARY KEY (kind, id, version)
);

CREATE INDEX versions_revision ON versions (revision, place);

-- Which version is current. A deleted document has no row.
CREATE TABLE documents (
  kind TEXT COLLATE "C" NOT NULL,
  id TEXT COLLATE "C" NOT NULL,
  version BIGINT NOT NULL,
  PRIMARY KEY (kind, id),
  FOREIGN KEY (kind, id, version) REFERENCES versions (kind, id, version)
);

CREATE TABLE document_keys (
  key_index TEXT COLLATE "C" NOT NULL,
  value TEXT COLLATE "C" NOT NULL,
  kind TEXT COLLATE "C" NOT NULL,
  id TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (key_index, value),
  FOREIGN KEY (kind, id) REFERENCES documents (kind, id) DEFERRABLE INITIALLY DEFERRED
);

CREATE INDEX document_keys_document ON document_keys (kind, id);

CREATE TABLE document_references (
  kind TEXT COLLATE "C" NOT NULL,
  id TEXT COLLATE "C" NOT NULL,
  to_kind TEXT COLLATE "C" NOT NULL,
  to_id TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (kind, id, to_kind, to_id),
  FOREIGN KEY (kind, id) REFERENCES documents (kind, id) DEFERRABLE INITIALLY DEFERRED,
  FOREIGN KEY (to_kind, to_id) REFERENCES documents (kind, id) DEFERRABLE INITIALLY DEFERRED
);

CREATE INDEX document_references_to ON document_references (to_kind, to_id, kind, id);

-- Remembered answers of writes that carried an Idempotency-Key.
CREATE TABLE replays (
  scope TEXT NOT NULL,
  key TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  answer BYTEA NOT NULL,
  at_us BIGINT NOT NULL,
  PRIMARY KEY (scope, key)
);

CREATE INDEX replays_at ON replays (at_us);
