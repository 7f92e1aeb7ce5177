-- name: create
INSERT INTO dialogs_dialogs (
    id, owner, spec, created_us, updated_us, next_seq, messages, bytes, input_tokens, output_tokens, cost_microusd, unpriced,
    summary, summary_seq, turn, turn_until_us
) VALUES (:id, :owner, :spec, :at_us, :at_us, 1, 0, :bytes, 0, 0, 0, 0, NULL, 0, NULL, 0);

-- name: count
SELECT COUNT(*) AS found, COALESCE(SUM(bytes), 0) AS bytes FROM dialogs_dialogs WHERE owner = :owner;

-- name: get
SELECT * FROM dialogs_dialogs WHERE owner = :owner AND id = :id;

-- name: list
SELECT * FROM dialogs_dialogs
WHERE owner = :owner AND (updated_us < :at_us OR (updated_us = :at_us AND id < :id))
ORDER BY updated_us DESC, id DESC LIMIT :limit;

-- name: list_all
SELECT * FROM dialogs_dialogs
WHERE updated_us < :at_us OR (updated_us = :at_us AND id < :id)
ORDER BY updated_us DESC, id DESC LIMIT :limit;

-- name: change
UPDATE dialogs_dialogs SET spec = :spec, bytes = bytes + :more, updated_us = :at_us WHERE owner = :owner AND id = :id;

-- name: delete
DELETE FROM dialogs_dialogs WHERE owner = :owner AND id = :id;

-- name: delete_any
DELETE FROM dialogs_dialogs WHERE id = :id;

-- name: purge
DELETE FROM dialogs_dialogs WHERE updated_us < :since AND (turn IS NULL OR turn_until_us < :now_us);

-- name: begin
UPDATE dialogs_dialogs SET
    turn = :turn, turn_until_us = :until_us, updated_us = :at_us, next_seq = next_seq + :added,
    messages = messages + :added, bytes = bytes + :bytes
WHERE id = :id;

-- name: renew
UPDATE dialogs_dialogs SET turn_until_us = :until_us WHERE id = :id AND turn = :turn;

-- name: of_turn
SELECT next_seq FROM dialogs_dialogs WHERE id = :id AND turn = :turn;

-- name: end
UPDATE dialogs_dialogs SET
    turn = NULL, turn_until_us = 0, updated_us = :at_us, next_seq = next_seq + :added, messages = messages + :added,
    bytes = bytes + :bytes, input_tokens = input_tokens + :input_tokens, output_tokens = output_tokens + :output_tokens,
    cost_microusd = cost_microusd + :cost_microusd, unpriced = unpriced + :unpriced
WHERE id = :id AND turn = :turn;

-- name: summarise
UPDATE dialogs_dialogs SET
    summary = :summary, summary_seq = :seq, input_tokens = input_tokens + :input_tokens,
    output_tokens = output_tokens + :output_tokens, cost_microusd = cost_microusd + :cost_microusd,
    unpriced = unpriced + :unpriced
WHERE id = :id AND turn = :turn;

-- name: add
INSERT INTO dialogs_messages (
    dialog, seq, id, role, at_us, message, status, idempotency, model, call, finish_reason, input_tokens, output_tokens,
    cost_microusd
) VALUES (
    :dialog, :seq, :id, :role, :at_us, :message, :status, :idempotency, :model, :call, :finish_reason, :input_tokens,
    :output_tokens, :cost_microusd
);

-- name: withdraw
DELETE FROM dialogs_messages WHERE dialog = :dialog AND seq >= :seq;

-- name: messages
SELECT * FROM dialogs_messages WHERE dialog = :dialog AND seq > :after AND seq < :before ORDER BY seq DESC LIMIT :limit;

-- name: by_idempotency
SELECT * FROM dialogs_messages WHERE dialog = :dialog AND idempotency = :idempotency;

-- name: from
SELECT * FROM dialogs_messages WHERE dialog = :dialog AND seq >= :seq ORDER BY seq LIMIT :limit;
