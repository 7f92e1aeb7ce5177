-- Counters shared by many gateways: a batch of reservations, settlements, looks and seeds, done as one.
-- KEYS[1]  what every key begins with
-- ARGV[1]  the time, microseconds since 1970; 0: this server's own
-- ARGV[2]  the steps, as MessagePack: {"reserve", id, buckets, lease_us}, {"settle", id, amounts or false}, {"peek", buckets},
--          {"seed", bucket, epoch, total}. `buckets` are MessagePack in it: of {key, sort, limit, amount, period_us, burst,
--          start_us or -1, epoch or false, keeps} each
-- Returns  MessagePack: for each step an answer, {"error", why} where it could not be done. That of a reservation is {refused, from 1,
--          or 0; seconds to wait; rooms}, that of a look {rooms}. `rooms` are left, seconds until all is back, seeded, and so on for each
--          bucket.
--
-- What is known of a bucket or of a reservation is read once in a batch, changed here, and written at the end. A window is a hash of
-- granules, each a 256th of its period: what is admitted in a granule leaves as if it had been admitted at its end, late rather than
-- early. What else is known of it is its field `w`.

local PREFIX, OPEN, LEASES = KEYS[1], KEYS[1] .. 'open', KEYS[1] .. 'leases'
local ENTRIES, GRACE, SOON, DUST, ENDED = 256, 60000000, 1, 1e-6, 100
local call, pack, unpacked = redis.call, cmsgpack.pack, cmsgpack.unpack
local max, min, floor, ceil = math.max, math.min, math.floor, math.ceil
local now = tonumber(ARGV[1])
if now == 0 then
  local time = call('TIME')
  now = time[1] * 1000000 + time[2]
end
local states = {}

local function whole(number) return string.format('%.0f', number) end

local SORTS = {}

-- Windows ---------------------------------------------------------------------------------------------------------------------

local window = {}
SORTS.window = window

function window.name(bucket) return 'window:' .. bucket[1] end

local function granule_of(w, at) return ceil(at / w.granule) - 1 end

local function is_gone(w, number, period) return (number + 1) * w.granule <= now - period end

local function amounts(w)
  local names = {}
  for number = w.low, w.high do names[#names + 1] = number end
  local found = call('HMGET', w.key, unpack(names))
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
  call('DEL', w.key)
  w.granule, w.low, w.high, w.added = granule, nil, nil, {}
  w.until_, w.keep = 0, max(w.keep, granule * ENTRIES)
  for index, sum in ipairs(sums) do
    if sum ~= 0 then
      local number = granule_of(w, (low + index) * old)
      w.added[number] = (w.added[number] or 0) + sum
      w.low = min(w.low or number, number)
      w.high = max(w.high or number, number)
    end
  end
  w.dirty = true
end

function window.load(key, bucket)
  local found = call('HGET', key, 'w')
  if not found then
    return {key = key, total = 0, held = 0, seeds = 0, seeded = 0, added = {}, keep = 0, until_ = 0}
  end
  local it = unpacked(found)
  return {
    key = key, total = it[1], low = it[2] or nil, high = it[3] or nil, granule = it[4] or nil, epoch = it[5],
    held = it[6], seeds = it[7], seeded = it[8], until_ = it[9], added = {}, keep = 0,
  }
end

-- Have its granules be those of the bucket's period, and forget those that are over.
function window.at(w, bucket)
  local granule = max(1, floor(bucket[5] / ENTRIES))
  if w.granule ~= granule then
    if w.low then regrain(w, granule) else w.granule = granule end
  end
  if not w.low or not is_gone(w, w.low, bucket[5]) then return end
  local sums, gone, number = amounts(w), {}, w.low
  while number <= w.high and is_gone(w, number, bucket[5]) do
    w.total = w.total - sums[number - w.low + 1]
    w.added[number] = nil
    gone[#gone + 1] = number
    number = number + 1
  end
  call('HDEL', w.key, unpack(gone))
  w.dirty = true
  if number > w.high then w.low, w.high, w.total = nil, nil, 0 else w.low = number end
end

local function count(w, number, amount)
  w.total = w.total + amount
  w.added[number] = (w.added[number] or 0) + amount
  w.low = min(w.low or number, number)
  w.high = max(w.high or number, number)
  w.dirty = true
end

function window.has_room(w, bucket)
  return w.total + bucket[4] <= bucket[3] and not (bucket[8] and bucket[8] ~= w.epoch)
end

function window.take(w, bucket, lease)
  local number = floor(now / w.granule)
  count(w, number, bucket[4])
  w.held = w.held + bucket[4]
  w.keep = max(w.keep, bucket[5], lease)
  return {(number + 1) * w.granule, w.seeds}
end

function window.give_back(w, bucket, part)
  count(w, granule_of(w, part[1]), -bucket[4])
  w.held = w.held - bucket[4]
end

function window.settle(w, bucket, part, actual)
  w.held = max(0, w.held - bucket[4])
  w.dirty = true
  if actual == bucket[4] then return end
  local number = granule_of(w, part[2] == w.seeds and part[1] or w.seeded)
  if w.low and number >= w.low and number <= w.high then count(w, number, actual - bucket[4]) end
end

function window.lapse(w, bucket) window.settle(w, bucket, nil, bucket[4]) end

function window.room(w, bucket, is_fresh)
  local back = bucket[5]
  if not is_fresh then back = w.high and (w.high + 1) * w.granule + bucket[5] - now or 0 end
  if bucket[8] and bucket[8] ~= w.epoch then return 0, back / 1e6, false end
  return max(0, bucket[3] - w.total), back / 1e6, true
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
  call('DEL', w.key)
  w.epoch, w.total, w.low, w.high, w.added, w.until_ = epoch, 0, nil, nil, {}, 0
  local number = floor(now / w.granule)
  count(w, number, total + w.held)
  w.seeds, w.seeded = w.seeds + 1, (number + 1) * w.granule
  w.keep = max(w.keep, bucket[5])
end

function window.save(w)
  for number, amount in pairs(w.added) do call('HINCRBY', w.key, number, amount) end
  local lasts = now + w.keep
  local renews = w.keep > 0 and w.until_ < lasts
  if renews then w.until_ = lasts + w.keep end
  call('HSET', w.key, 'w', pack({
    w.total, w.low or false, w.high or false, w.granule or false, w.epoch or false, w.held, w.seeds, w.seeded, w.until_,
  }))
  if renews then call('PEXPIRE', w.key, ceil((w.until_ - now) / 1000) + 60000) end
end

-- Slots -----------------------------------------------------------------------------------------------------------------------

local slots = {}
SORTS.slots = slots

function slots.name(bucket) return 'slots:' .. bucket[1] end
function slots.load(key) return {key = key, held = tonumber(call('GET', key) or 0)} end
function slots.at() end
function slots.has_room(s, bucket) return s.held + bucket[4] <= bucket[3] end
function slots.take(s, bucket) s.held, s.dirty = s.held + bucket[4], true return false end
function slots.give_back(s, bucket) s.held, s.dirty = max(0, s.held - bucket[4]), true end
slots.settle, slots.lapse = slots.give_back, slots.give_back
function slots.room(s, bucket) return max(0, bucket[3] - s.held), 0, true end
function slots.wait() return SOON end
function slots.save(s)
  if s.held > 0 then call('SET', s.key, whole(s.held)) else call('DEL', s.key) end
end

-- Token buckets: what is missing from one -------------------------------------------------------------------------------------

local tokens = {}
SORTS.bucket = tokens

function tokens.name(bucket) return 'bucket:' .. bucket[1] end
function tokens.load(key)
  local found = call('HMGET', key, 'missing', 'at', 'rate')
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
function tokens.give_back(b, bucket) b.missing, b.dirty = max(0, b.missing - bucket[4]), true end
function tokens.settle(b, bucket, part, actual)
  b.missing, b.dirty = max(0, b.missing + actual - bucket[4]), true
end
function tokens.lapse() end
function tokens.room(b, bucket)
  local back = bucket[3] > 0 and b.missing * bucket[5] / bucket[3] / 1e6 or 0
  return max(0, floor(bucket[6] - b.missing + DUST)), back, true
end
function tokens.wait(b, bucket)
  if bucket[4] > bucket[6] or bucket[3] <= 0 then return bucket[5] / 1e6 end
  return (b.missing + bucket[4] - bucket[6]) * bucket[5] / bucket[3] / 1e6
end
function tokens.save(b)
  if b.missing == 0 or b.rate == 0 then
    call('DEL', b.key)
    return
  end
  call('HSET', b.key, 'missing', string.format('%.17g', b.missing), 'at', whole(now), 'rate', string.format('%.17g', b.rate))
  call('PEXPIRE', b.key, ceil(b.missing / b.rate / 1000) + 60000)
end

-- Periods ---------------------------------------------------------------------------------------------------------------------

local period = {}
SORTS.period = period

function period.name(bucket) return 'period:' .. bucket[1] .. ':' .. whole(bucket[7]) end
function period.load(key)
  local found = call('HMGET', key, 'settled', 'reserved', 'epoch')
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
  p.keep = max(p.keep, p.ends - now + lease)
  return false
end
function period.give_back(p, bucket) p.reserved, p.dirty = max(0, p.reserved - bucket[4]), true end
function period.settle(p, bucket, part, actual)
  period.give_back(p, bucket)
  p.settled = p.settled + actual
end
function period.lapse(p, bucket)
  if bucket[9] then period.settle(p, bucket, nil, bucket[4]) else period.give_back(p, bucket) end
end
function period.room(p, bucket)
  local back = max(0, (p.ends - now) / 1e6)
  if bucket[8] and bucket[8] ~= p.epoch then return 0, back, false end
  return is_over(p) and 0 or max(0, bucket[3] - p.settled - p.reserved), back, true
end
function period.wait(p, bucket)
  local unseeded = bucket[8] and bucket[8] ~= p.epoch
  if unseeded or is_over(p) or p.settled + bucket[4] <= bucket[3] then return SOON end
  return max(SOON, (p.ends - now) / 1e6)
end
function period.seed(p, bucket, epoch, total)
  if p.epoch == epoch then return end
  p.epoch, p.settled, p.dirty = epoch, total, true
  p.keep = max(p.keep, p.ends - now)
end
function period.save(p)
  call('HSET', p.key, 'settled', whole(p.settled), 'reserved', whole(p.reserved))
  if p.epoch then call('HSET', p.key, 'epoch', p.epoch) end
  if p.keep > 0 then
    local keep = ceil((p.keep + 2 * GRACE) / 1000)
    if call('PTTL', p.key) < keep then call('PEXPIRE', p.key, keep) end
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
  local rooms, count = {}, 0
  for _, bucket in ipairs(buckets) do
    local state, sort = state_of(bucket)
    rooms[count + 1], rooms[count + 2], rooms[count + 3] = sort.room(state, bucket, is_fresh)
    count = count + 3
  end
  return rooms
end

-- What is reserved, by id: MessagePack of {buckets, parts, rooms}. `held` has what a batch found, `open` what is to be written.
local held, open, leases = {}, {}, {}

local function end_leases()
  local ended = call('ZRANGEBYSCORE', LEASES, '-inf', now, 'LIMIT', 0, ENDED)
  if #ended == 0 then return end
  local found = call('HMGET', OPEN, unpack(ended))
  call('HDEL', OPEN, unpack(ended))
  call('ZREM', LEASES, unpack(ended))
  for index = 1, #ended do
    for _, bucket in ipairs(found[index] and unpacked(unpacked(found[index])[1]) or {}) do
      local state, sort = state_of(bucket)
      sort.lapse(state, bucket)
    end
  end
end

local function look_up(asked)
  local ids = {}
  for _, step in ipairs(asked) do
    if step[1] == 'reserve' or step[1] == 'settle' then ids[#ids + 1] = step[2] end
  end
  if #ids == 0 then return end
  local found = call('HMGET', OPEN, unpack(ids))
  for index = 1, #ids do held[ids[index]] = found[index] end
end

local function kept_of(id)
  local kept = open[id]
  if kept == nil then kept = held[id] end
  return kept
end

local function save_open()
  local sets, adds, gone = {}, {}, {}
  for id, kept in pairs(open) do
    if kept then
      sets[#sets + 1], sets[#sets + 2] = id, kept
      adds[#adds + 1], adds[#adds + 2] = leases[id], id
    elseif held[id] then
      gone[#gone + 1] = id
    end
  end
  if #sets > 0 then
    call('HSET', OPEN, unpack(sets))
    call('ZADD', LEASES, unpack(adds))
  end
  if #gone > 0 then
    call('HDEL', OPEN, unpack(gone))
    call('ZREM', LEASES, unpack(gone))
  end
end

local steps = {}

function steps.reserve(id, wanted, lease)
  local kept = kept_of(id)
  if kept then
    kept = unpacked(kept)
    if kept[1] ~= wanted then return {'error', 'other'} end
    return {0, 0, kept[3]}
  end
  local buckets, parts, taken, of = unpacked(wanted), {}, {}, {}
  for index, bucket in ipairs(buckets) do
    local state, sort = state_of(bucket)
    if not sort.has_room(state, bucket) then
      for before = index - 1, 1, -1 do
        of[before].give_back(taken[before], buckets[before], parts[before])
      end
      state, sort = state_of(bucket)
      return {index, sort.wait(state, bucket), rooms_of(buckets, false)}
    end
    parts[index], taken[index], of[index] = sort.take(state, bucket, lease), state, sort
  end
  local rooms, count = {}, 0
  for index, bucket in ipairs(buckets) do
    rooms[count + 1], rooms[count + 2], rooms[count + 3] = of[index].room(taken[index], bucket, true)
    count = count + 3
  end
  open[id], leases[id] = pack({wanted, parts, rooms}), now + lease
  return {0, 0, rooms}
end

function steps.settle(id, actual)
  local kept = kept_of(id)
  if not kept then return {} end
  kept = unpacked(kept)
  local buckets, parts = unpacked(kept[1]), kept[2]
  if actual and #actual ~= #buckets then return {'error', 'amounts', #buckets} end
  open[id] = false
  for index, bucket in ipairs(buckets) do
    local state, sort = state_of(bucket)
    sort.settle(state, bucket, parts[index], actual and actual[index] or bucket[4])
  end
  return {}
end

function steps.peek(buckets) return {rooms_of(unpacked(buckets), false)} end

function steps.seed(bucket, epoch, total)
  local state, sort = state_of(bucket)
  sort.seed(state, bucket, epoch, total)
  return {}
end

local asked = unpacked(ARGV[2])
end_leases()
look_up(asked)
local answers = {}
for index, step in ipairs(asked) do
  answers[index] = steps[step[1]](step[2], step[3], step[4])
end
save_open()
for _, state in pairs(states) do
  if state.dirty then state.sort.save(state) end
end
return pack(answers)
