-- name: chain
WITH RECURSIVE chain (id, previous, depth) AS (
    SELECT id, previous, 0 FROM stored_responses_given WHERE owner = %(owner)s AND id = %(id)s
    UNION ALL
    SELECT given.id, given.previous, chain.depth + 1 FROM chain
    JOIN stored_responses_given AS given ON given.owner = %(owner)s AND given.id = chain.previous
    WHERE chain.depth < %(most)s
)
SELECT given.id, given.thread, given.previous, given.kept_by, given.status, given.input, given.response
FROM chain JOIN stored_responses_given AS given ON given.owner = %(owner)s AND given.id = chain.id
WHERE EXISTS (
    SELECT 1 FROM stored_responses_given AS other
    WHERE other.owner = %(owner)s AND other.thread = given.thread AND other.at_us >= %(since)s
)
ORDER BY chain.depth DESC;

-- name: response_of
SELECT response FROM stored_responses_items WHERE owner = %(owner)s AND id = %(id)s;

-- name: put
INSERT INTO stored_responses_given (owner, id, thread, previous, at_us, bytes, kept_by, status, input, response)
VALUES (%(owner)s, %(id)s, %(thread)s, %(previous)s, %(at_us)s, %(bytes)s, %(kept_by)s, %(status)s, %(input)s, %(response)s)
ON CONFLICT (owner, id) DO UPDATE SET
    thread = excluded.thread, previous = excluded.previous, at_us = excluded.at_us, bytes = excluded.bytes,
    kept_by = excluded.kept_by, status = excluded.status, input = excluded.input, response = excluded.response;

-- name: put_item
INSERT INTO stored_responses_items (owner, id, response) VALUES (%(owner)s, %(id)s, %(response)s)
ON CONFLICT (owner, id) DO UPDATE SET response = excluded.response;

-- name: make_room
DELETE FROM stored_responses_given WHERE owner = %(owner)s AND id IN (
    SELECT id FROM (
        SELECT id, SUM(bytes) OVER newest AS bytes_so_far, ROW_NUMBER() OVER newest AS so_far
        FROM stored_responses_given WHERE owner = %(owner)s WINDOW newest AS (ORDER BY at_us DESC, id DESC)
    ) AS counted
    WHERE bytes_so_far > %(most_bytes)s OR so_far > %(most)s
);

-- name: delete
DELETE FROM stored_responses_given WHERE owner = %(owner)s AND id = %(id)s;

-- name: purge
DELETE FROM stored_responses_given WHERE (owner, thread) IN (
    SELECT owner, thread FROM stored_responses_given GROUP BY owner, thread HAVING MAX(at_us) < %(since)s
);
