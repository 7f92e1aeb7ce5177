-- Counters shared by many gateways: a batch of reservations, settlements, looks and seeds, done as one.
-- KEYS[1]  what every key begins with
-- ARGV[1]  the time, microseconds since 1970; 0: this server's own
-- ARGV[2]  the steps, as MessagePack: {"reserve", id, buckets, lease_us}, {"settle", id, amounts or false}, {"peek", buckets},
--          {"seed", bucket, epoch, total}. A bucket is {key, sort, limit, amount, period_us, burst, start_us or -1, epoch or false}
-- Returns  MessagePack: for each step an answer, {"error", why} where it could not be done. That of a reservation is {refused, from 1, or
--          0; seconds to wait; rooms}, that of a look {rooms}; a room is {left, seconds until all is back, seeded}.
--
-- What is known of a bucket is read once in a batch, changed here, and written at the end. A window is a hash of granules, each a
-- 256th of its period: what is admitted in a granule leaves as if it had been admitted at its end, late rather than early.

local PREFIX, OPEN, LEASES = KEYS[1], KEYS[1] .. 'open', KEYS[1] .. 'leases'
local ENTRIES, GRACE, SOON, DUST, ENDED = 256, 60000000, 1, 1e-6, 100
local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local states = {}

local function whole(number) return string.format('%.0f', number) end

local SORTS = {}

-- Windows ---------------------------------------------------------------------------------------------------------------------

local window = {}
SORTS.window = window

function window.name(bucket) return 'window:' .. bucket[1] end

local function granule_of(w, at) return math.ceil(at / w.granule) - 1 end

local function is_gone(w, number, period) return (number + 1) * w.granule <= now - period end

local function amounts(w)
  local names = {}
  for number = w.low, w.high do names[#names + 1] = whole(number) end
  local found = redis.call('HMGET', w.key, unpack(names))
  local sums = {}
  for index = 1, #names do
    sums[index] = (tonumber(found[index]) or 0) + (w.added[w.low + index - 1] or 0)
  end
  return sums
end

-- Make it one of granules of another length, as the period has changed.
local function regrain(w, granule)
  local sums, low = amounts(w), w.low
  local old = w.granule
  redis.call('DEL', w.key)
  w.granule, w.low, w.high, w.added = granule, nil, nil, {}
  for index, sum in ipairs(sums) do
    if sum ~= 0 then
      local number = granule_of(w, (low + index) * old)
      w.added[number] = (w.added[number] or 0) + sum
      w.low = math.min(w.low or number, number)
      w.high = math.max(w.high or number, number)
    end
  end
  w.dirty = true
end

function window.load(key, bucket)
  local found = redis.call('HMGET', key, 'total', 'low', 'high', 'granule', 'epoch', 'held', 'seeds', 'seeded')
  local w = {
    key = key, total = tonumber(found[1]) or 0, low = tonumber(found[2]), high = tonumber(found[3]),
    granule = tonumber(found[4]), epoch = found[5], held = tonumber(found[6]) or 0, seeds = tonumber(found[7]) or 0,
    seeded = tonumber(found[8]) or 0, added = {}, keep = 0,
  }
  return w
end

-- Have its granules be those of the bucket's period, and forget those that are over.
function window.at(w, bucket)
  local granule = math.max(1, math.floor(bucket[5] / ENTRIES))
  if w.granule ~= granule then
    if w.low then regrain(w, granule) else w.granule = granule end
  end
  if not w.low or not is_gone(w, w.low, bucket[5]) then return end
  local sums, gone, number = amounts(w), {}, w.low
  while number <= w.high and is_gone(w, number, bucket[5]) do
    w.total = w.total - sums[number - w.low + 1]
    w.added[number] = nil
    gone[#gone + 1] = whole(number)
    number = number + 1
  end
  redis.call('HDEL', w.key, unpack(gone))
  w.dirty = true
  if number > w.high then w.low, w.high, w.total = nil, nil, 0 else w.low = number end
end

local function count(w, number, amount)
  w.total = w.total + amount
  w.added[number] = (w.added[number] or 0) + amount
  w.low = math.min(w.low or number, number)
  w.high = math.max(w.high or number, number)
  w.dirty = true
end

function window.has_room(w, bucket)
  return w.total + bucket[4] <= bucket[3] and not (bucket[8] and bucket[8] ~= w.epoch)
end

function window.take(w, bucket, lease)
  local number = math.floor(now / w.granule)
  count(w, number, bucket[4])
  w.held = w.held + bucket[4]
  w.keep = math.max(w.keep, bucket[5], lease)
  return {(number + 1) * w.granule, w.seeds}
end

function window.give_back(w, bucket, part)
  count(w, granule_of(w, part[1]), -bucket[4])
  w.held = w.held - bucket[4]
end

function window.settle(w, bucket, part, actual)
  w.held = math.max(0, w.held - bucket[4])
  w.dirty = true
  if actual == bucket[4] then return end
  local number = granule_of(w, part[2] == w.seeds and part[1] or w.seeded)
  if w.low and number >= w.low and number <= w.high then count(w, number, actual - bucket[4]) end
end

function window.lapse(w, bucket) window.settle(w, bucket, nil, bucket[4]) end

function window.room(w, bucket, is_fresh)
  local back = bucket[5]
  if not is_fresh then back = w.high and (w.high + 1) * w.granule + bucket[5] - now or 0 end
  if bucket[8] and bucket[8] ~= w.epoch then return {0, back / 1e6, false} end
  return {math.max(0, bucket[3] - w.total), back / 1e6, true}
end

function window.wait(w, bucket)
  if bucket[8] and bucket[8] ~= w.epoch then return SOON end
  local excess = w.total + bucket[4] - bucket[3]
  if w.low then
    for index, sum in ipairs(amounts(w)) do
      excess = excess - sum
      if excess <= 0 then return ((w.low + index) * w.granule + bucket[5] - now) / 1e6 end
    end
  end
  return bucket[5] / 1e6
end

function window.seed(w, bucket, epoch, total)
  if w.epoch == epoch then return end
  redis.call('DEL', w.key)
  w.epoch, w.total, w.low, w.high, w.added = epoch, 0, nil, nil, {}
  local number = math.floor(now / w.granule)
  count(w, number, total + w.held)
  w.seeds, w.seeded = w.seeds + 1, (number + 1) * w.granule
  w.keep = math.max(w.keep, bucket[5])
end

function window.save(w)
  local fields = {'total', whole(w.total), 'granule', whole(w.granule), 'held', whole(w.held), 'seeds', whole(w.seeds)}
  fields[#fields + 1], fields[#fields + 2] = 'seeded', whole(w.seeded)
  if w.epoch then fields[#fields + 1], fields[#fields + 2] = 'epoch', w.epoch end
  if w.low then
    fields[#fields + 1], fields[#fields + 2] = 'low', whole(w.low)
    fields[#fields + 1], fields[#fields + 2] = 'high', whole(w.high)
  else
    redis.call('HDEL', w.key, 'low', 'high')
  end
  redis.call('HSET', w.key, unpack(fields))
  for number, amount in pairs(w.added) do redis.call('HINCRBY', w.key, whole(number), whole(amount)) end
  if w.keep > 0 then
    local keep = math.ceil(w.keep / 1000) + 60000
    if redis.call('PTTL', w.key) < keep then redis.call('PEXPIRE', w.key, keep) end
  end
end

-- Slots -----------------------------------------------------------------------------------------------------------------------

local slots = {}
SORTS.slots = slots

function slots.name(bucket) return 'slots:' .. bucket[1] end
function slots.load(key) return {key = key, held = tonumber(redis.call('GET', key) or 0)} end
function slots.at() end
function slots.has_room(s, bucket) return s.held + bucket[4] <= bucket[3] end
function slots.take(s, bucket) s.held, s.dirty = s.held + bucket[4], true return false end
function slots.give_back(s, bucket) s.held, s.dirty = math.max(0, s.held - bucket[4]), true end
slots.settle, slots.lapse = slots.give_back, slots.give_back
function slots.room(s, bucket) return {math.max(0, bucket[3] - s.held), 0, true} end
function slots.wait() return SOON end
function slots.save(s)
  if s.held > 0 then redis.call('SET', s.key, whole(s.held)) else redis.call('DEL', s.key) end
end

-- Token buckets: what is missing from one -------------------------------------------------------------------------------------

local tokens = {}
SORTS.bucket = tokens

function tokens.name(bucket) return 'bucket:' .. bucket[1] end
function tokens.load(key)
  local found = redis.call('HMGET', key, 'missing', 'at', 'rate')
  local b = {key = key, rate = tonumber(found[3]) or 0}
  b.missing = (tonumber(found[1]) or 0) - (now - (tonumber(found[2]) or now)) * b.rate
  if b.missing <= DUST then b.missing = 0 end
  return b
end
function tokens.at(b, bucket)
  if b.rate == 0 then b.rate = bucket[3] / bucket[5] end
end
function tokens.has_room(b, bucket)
  b.rate = bucket[3] / bucket[5]
  return b.missing + bucket[4] <= bucket[6] + DUST
end
function tokens.take(b, bucket) b.missing, b.dirty = b.missing + bucket[4], true return false end
function tokens.give_back(b, bucket) b.missing, b.dirty = math.max(0, b.missing - bucket[4]), true end
function tokens.settle(b, bucket, part, actual)
  b.missing, b.dirty = math.max(0, b.missing + actual - bucket[4]), true
end
function tokens.lapse() end
function tokens.room(b, bucket)
  local back = bucket[3] > 0 and b.missing * bucket[5] / bucket[3] / 1e6 or 0
  return {math.max(0, math.floor(bucket[6] - b.missing + DUST)), back, true}
end
function tokens.wait(b, bucket)
  if bucket[4] > bucket[6] or bucket[3] <= 0 then return bucket[5] / 1e6 end
  return (b.missing + bucket[4] - bucket[6]) * bucket[5] / bucket[3] / 1e6
end
function tokens.save(b)
  if b.missing == 0 or b.rate == 0 then
    redis.call('DEL', b.key)
    return
  end
  redis.call('HSET', b.key, 'missing', string.format('%.17g', b.missing), 'at', whole(now), 'rate', string.format('%.17g', b.rate))
  redis.call('PEXPIRE', b.key, math.ceil(b.missing / b.rate / 1000) + 60000)
end

-- Periods ---------------------------------------------------------------------------------------------------------------------

local period = {}
SORTS.period = period

function period.name(bucket) return 'period:' .. bucket[1] .. ':' .. whole(bucket[7]) end
function period.load(key)
  local found = redis.call('HMGET', key, 'settled', 'reserved', 'epoch')
  return {key = key, settled = tonumber(found[1]) or 0, reserved = tonumber(found[2]) or 0, epoch = found[3], keep = 0}
end
function period.at(p, bucket) p.ends = bucket[7] + bucket[5] end
local function is_over(p) return now >= p.ends + GRACE end
function period.has_room(p, bucket)
  if bucket[8] and bucket[8] ~= p.epoch then return false end
  return p.settled + p.reserved + bucket[4] <= bucket[3] and not is_over(p)
end
function period.take(p, bucket, lease)
  p.reserved, p.dirty = p.reserved + bucket[4], true
  p.keep = math.max(p.keep, p.ends - now + lease)
  return false
end
function period.give_back(p, bucket) p.reserved, p.dirty = math.max(0, p.reserved - bucket[4]), true end
period.lapse = period.give_back
function period.settle(p, bucket, part, actual)
  period.give_back(p, bucket)
  p.settled = p.settled + actual
end
function period.room(p, bucket)
  local back = math.max(0, (p.ends - now) / 1e6)
  if bucket[8] and bucket[8] ~= p.epoch then return {0, back, false} end
  return {is_over(p) and 0 or math.max(0, bucket[3] - p.settled - p.reserved), back, true}
end
function period.wait(p, bucket)
  local unseeded = bucket[8] and bucket[8] ~= p.epoch
  if unseeded or is_over(p) or p.settled + bucket[4] <= bucket[3] then return SOON end
  return math.max(SOON, (p.ends - now) / 1e6)
end
function period.seed(p, bucket, epoch, total)
  if p.epoch == epoch then return end
  p.epoch, p.settled, p.dirty = epoch, total, true
  p.keep = math.max(p.keep, p.ends - now)
end
function period.save(p)
  redis.call('HSET', p.key, 'settled', whole(p.settled), 'reserved', whole(p.reserved))
  if p.epoch then redis.call('HSET', p.key, 'epoch', p.epoch) end
  if p.keep > 0 then
    local keep = math.ceil((p.keep + 2 * GRACE) / 1000)
    if redis.call('PTTL', p.key) < keep then redis.call('PEXPIRE', p.key, keep) end
  end
end

-- Steps -----------------------------------------------------------------------------------------------------------------------

local function state_of(bucket)
  local sort = SORTS[bucket[2]]
  local name = sort.name(bucket)
  local state = states[name]
  if not state then
    state = sort.load(PREFIX .. name, bucket)
    state.sort = sort
    states[name] = state
  end
  sort.at(state, bucket)
  return state, sort
end

local function rooms_of(buckets, is_fresh)
  local rooms = {}
  for index, bucket in ipairs(buckets) do
    local state, sort = state_of(bucket)
    rooms[index] = sort.room(state, bucket, is_fresh)
  end
  return rooms
end

local function forget(id)
  redis.call('HDEL', OPEN, id)
  redis.call('ZREM', LEASES, id)
end

local function end_leases()
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', LEASES, '-inf', whole(now), 'LIMIT', 0, ENDED)) do
    local kept = redis.call('HGET', OPEN, id)
    forget(id)
    for _, bucket in ipairs(kept and cmsgpack.unpack(kept)[1] or {}) do
      local state, sort = state_of(bucket)
      sort.lapse(state, bucket)
    end
  end
end

local steps = {}

function steps.reserve(id, buckets, lease)
  local kept = redis.call('HGET', OPEN, id)
  if kept then
    kept = cmsgpack.unpack(kept)
    if cmsgpack.pack(kept[1]) ~= cmsgpack.pack(buckets) then return {'error', 'other'} end
    return {0, 0, kept[3]}
  end
  local parts = {}
  for index, bucket in ipairs(buckets) do
    local state, sort = state_of(bucket)
    if not sort.has_room(state, bucket) then
      for taken = index - 1, 1, -1 do
        local theirs, their = state_of(buckets[taken])
        their.give_back(theirs, buckets[taken], parts[taken])
      end
      state, sort = state_of(bucket)
      return {index, sort.wait(state, bucket), rooms_of(buckets, false)}
    end
    parts[index] = sort.take(state, bucket, lease)
  end
  local rooms = rooms_of(buckets, true)
  redis.call('HSET', OPEN, id, cmsgpack.pack({buckets, parts, rooms}))
  redis.call('ZADD', LEASES, whole(now + lease), id)
  return {0, 0, rooms}
end

function steps.settle(id, actual)
  local kept = redis.call('HGET', OPEN, id)
  if not kept then return {} end
  local buckets, parts = unpack(cmsgpack.unpack(kept))
  if actual and #actual ~= #buckets then return {'error', 'amounts', #buckets} end
  forget(id)
  for index, bucket in ipairs(buckets) do
    local state, sort = state_of(bucket)
    sort.settle(state, bucket, parts[index], actual and actual[index] or bucket[4])
  end
  return {}
end

function steps.peek(buckets) return {rooms_of(buckets, false)} end

function steps.seed(bucket, epoch, total)
  local state, sort = state_of(bucket)
  sort.seed(state, bucket, epoch, total)
  return {}
end

end_leases()
local answers = {}
for index, step in ipairs(cmsgpack.unpack(ARGV[2])) do
  answers[index] = steps[step[1]](step[2], step[3], step[4])
end
for _, state in pairs(states) do
  if state.dirty then state.sort.save(state) end
end
return cmsgpack.pack(answers)
