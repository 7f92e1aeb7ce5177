-- name: note
INSERT INTO api_keys_uses (id, at_us) SELECT key, value FROM json_each(:uses) WHERE true
ON CONFLICT (id) DO UPDATE SET at_us = excluded.at_us WHERE excluded.at_us > api_keys_uses.at_us;

-- name: forget
DELETE FROM api_keys_uses WHERE id IN (SELECT value FROM json_each(:ids));

-- name: last
SELECT id, at_us FROM api_keys_uses WHERE id IN (SELECT value FROM json_each(:ids));
