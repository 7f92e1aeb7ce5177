-- name: note
INSERT INTO api_keys_uses (id, at_us) SELECT key, value::bigint FROM json_each_text(%(uses)s::json)
ON CONFLICT (id) DO UPDATE SET at_us = excluded.at_us WHERE excluded.at_us > api_keys_uses.at_us;

-- name: forget
DELETE FROM api_keys_uses WHERE id IN (SELECT json_array_elements_text(%(ids)s::json));

-- name: last
SELECT id, at_us FROM api_keys_uses WHERE id IN (SELECT json_array_elements_text(%(ids)s::json));
