-- name: create
INSERT INTO dialogs_dialogs (
    id, owner, spec, created_us, updated_us, next_seq, messages, bytes, input_tokens, output_tokens, cost_microusd, unpriced,
    summary, summary_seq, turn, turn_until_us
) VALUES (%(id)s, %(owner)s, %(spec)s, %(at_us)s, %(at_us)s, 1, 0, %(bytes)s, 0, 0, 0, 0, NULL, 0, NULL, 0);

-- name: count
SELECT COUNT(*) AS found, COALESCE(SUM(bytes), 0) AS bytes FROM dialogs_dialogs WHERE owner = %(owner)s;

-- name: get
SELECT * FROM dialogs_dialogs WHERE owner = %(owner)s AND id = %(id)s;

-- name: list
SELECT * FROM dialogs_dialogs
WHERE owner = %(owner)s AND (updated_us < %(at_us)s OR (updated_us = %(at_us)s AND id < %(id)s))
ORDER BY updated_us DESC, id DESC LIMIT %(limit)s;

-- name: list_all
SELECT * FROM dialogs_dialogs
WHERE updated_us < %(at_us)s OR (updated_us = %(at_us)s AND id < %(id)s)
ORDER BY updated_us DESC, id DESC LIMIT %(limit)s;

-- name: change
UPDATE dialogs_dialogs SET spec = %(spec)s, bytes = bytes + %(more)s, updated_us = %(at_us)s WHERE owner = %(owner)s AND id = %(id)s;

-- name: delete
DELETE FROM dialogs_dialogs WHERE owner = %(owner)s AND id = %(id)s;

-- name: delete_any
DELETE FROM dialogs_dialogs WHERE id = %(id)s;

-- name: purge
DELETE FROM dialogs_dialogs WHERE updated_us < %(since)s AND (turn IS NULL OR turn_until_us < %(now_us)s);

-- name: begin
UPDATE dialogs_dialogs SET
    turn = %(turn)s, turn_until_us = %(until_us)s, updated_us = %(at_us)s, next_seq = next_seq + %(added)s,
    messages = messages + %(added)s, bytes = bytes + %(bytes)s
WHERE id = %(id)s;

-- name: renew
UPDATE dialogs_dialogs SET turn_until_us = %(until_us)s WHERE id = %(id)s AND turn = %(turn)s;

-- name: of_turn
SELECT next_seq FROM dialogs_dialogs WHERE id = %(id)s AND turn = %(turn)s;

-- name: end
UPDATE dialogs_dialogs SET
    turn = NULL, turn_until_us = 0, updated_us = %(at_us)s, next_seq = next_seq + %(added)s, messages = messages + %(added)s,
    bytes = bytes + %(bytes)s, input_tokens = input_tokens + %(input_tokens)s, output_tokens = output_tokens + %(output_tokens)s,
    cost_microusd = cost_microusd + %(cost_microusd)s, unpriced = unpriced + %(unpriced)s
WHERE id = %(id)s AND turn = %(turn)s;

-- name: summarise
UPDATE dialogs_dialogs SET
    summary = %(summary)s, summary_seq = %(seq)s, input_tokens = input_tokens + %(input_tokens)s,
    output_tokens = output_tokens + %(output_tokens)s, cost_microusd = cost_microusd + %(cost_microusd)s,
    unpriced = unpriced + %(unpriced)s
WHERE id = %(id)s AND turn = %(turn)s;

-- name: add
INSERT INTO dialogs_messages (
    dialog, seq, id, role, at_us, message, status, idempotency, model, call, finish_reason, input_tokens, output_tokens,
    cost_microusd
) VALUES (
    %(dialog)s, %(seq)s, %(id)s, %(role)s, %(at_us)s, %(message)s, %(status)s, %(idempotency)s, %(model)s, %(call)s, %(finish_reason)s, %(input_tokens)s,
    %(output_tokens)s, %(cost_microusd)s
);

-- name: withdraw
DELETE FROM dialogs_messages WHERE dialog = %(dialog)s AND seq >= %(seq)s;

-- name: messages
SELECT * FROM dialogs_messages WHERE dialog = %(dialog)s AND seq > %(after)s AND seq < %(before)s ORDER BY seq DESC LIMIT %(limit)s;

-- name: by_idempotency
SELECT * FROM dialogs_messages WHERE dialog = %(dialog)s AND idempotency = %(idempotency)s;

-- name: from
SELECT * FROM dialogs_messages WHERE dialog = %(dialog)s AND seq >= %(seq)s ORDER BY seq LIMIT %(limit)s;
