-- Makes the world that scripts see, once for an interpreter: what Redis allows, read-only, and the
-- functions of `redis`. Gets the interpreter's own functions and constants, returns what the
-- interpreter calls.
local raw = ...

local error, getmetatable, ipairs = error, getmetatable, ipairs
local loadstring, next, pairs, pcall, rawget = loadstring, next, pairs, pcall, rawget
local rawset, setfenv, setmetatable, tostring = rawset, setfenv, setmetatable, tostring
local tonumber, type, xpcall, select, unpack = tonumber, type, xpcall, select, unpack
local concat, format, byte, sub = table.concat, string.format, string.byte, string.sub
local load, collectgarbage, dump = load, collectgarbage, string.dump
local ceil, floor = math.ceil, math.floor
-- Takes units of work from the count of instructions; a negative number forgets debts. Only the Lua
-- that `engine/lua` builds has it; on another, less is counted.
local spend = spend or function() end

local READ_ONLY = "Attempt to modify a readonly table"
-- Longer tables are worked on in parts.
local LONG = 200
-- Elements that are moved at once.
local MOVED = 1e5
-- Units of work that an error of ours takes.
local RAISED = 3000
-- Bytes of code that are compiled at once.
local CODE = 512
-- Kilobytes that the collector works on at once.
local COLLECTED = 64

-- What is behind a read-only table. The table itself is empty, or it could be written to.
local contents = setmetatable({}, { __mode = "k" })

-- What scripts get for the metatables of others.
local locked = setmetatable({}, {
  __newindex = function() error(READ_ONLY, 2) end,
  __metatable = false,
})
contents[locked] = {}

local function read_only(table)
  local proxy = setmetatable({}, {
    __index = table,
    __newindex = function() error(READ_ONLY, 2) end,
    __metatable = locked,
  })
  contents[proxy] = table
  return proxy
end

local function check_writable(table)
  if contents[table] then error(READ_ONLY, 3) end
end

-- Everything that scripts can name.
local globals = {}
local world = read_only(globals)
-- A script runs; what of its lists is in `globals`. Those without a word are made when they are
-- looked for.
local is_running, has_keys, has_argv = false, false, false
local function empty_list(name)
  if not is_running then return nil end
  if name == "KEYS" and not has_keys then
    has_keys = true
  elseif name == "ARGV" and not has_argv then
    has_argv = true
  else
    return nil
  end
  local made = {}
  globals[name] = made
  return made
end
setmetatable(globals, {
  __index = function(_, name)
    local list = empty_list(name)
    if list then return list end
    error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
  end,
})

for _, name in ipairs {
  "assert", "error", "gcinfo", "getmetatable", "ipairs", "rawequal", "select",
  "tonumber", "type",
} do
  globals[name] = _G[name]
end

-- The collector works in parts, too.
local function clamped(number)
  if number < 100 then return 100 end
  return number > 1000 and 1000 or number
end
local settings = { setpause = 200, setstepmul = 200 }
globals.collectgarbage = function(...)
  local option, size = ...
  if option == nil or option == "collect" then
    -- The first cycle may have begun before and miss some.
    for _ = 1, 2 do
      while not collectgarbage("step", COLLECTED) do end
    end
    return 0
  end
  local number = tonumber(size)
  if option == "step" and number and number > COLLECTED then
    for _ = COLLECTED, number, COLLECTED do
      if collectgarbage("step", COLLECTED) then return true end
    end
    return false
  end
  if settings[option] and (number or size == nil) then
    local before = settings[option]
    settings[option] = number or 0
    collectgarbage(option, clamped(settings[option]))
    return before
  end
  return collectgarbage(...)
end

local check_unpack = raw.strings.check_unpack
globals.unpack = function(...)
  check_unpack(...)
  return unpack(...)
end
globals._G = world
globals._VERSION = _VERSION

-- What is behind a read-only table, all of it.
local function content_of(table)
  local content = contents[table]
  if content == globals then
    empty_list("KEYS")
    empty_list("ARGV")
  end
  return content
end
globals.next = function(...)
  local table, key = ...
  local content = content_of(table)
  if content then return next(content, key) end
  return next(...)
end
globals.pairs = function(...)
  local content = content_of((...))
  if content then return next, content, nil end
  return pairs(...)
end
globals.rawget = function(...)
  local table, key = ...
  local content = content_of(table)
  if content then return rawget(content, key) end
  return rawget(...)
end
globals.rawset = function(...)
  if contents[(...)] then error(READ_ONLY, 0) end
  return rawset(...)
end
globals.setmetatable = function(...)
  if contents[(...)] then error(READ_ONLY, 0) end
  return setmetatable(...)
end

-- Errors of our own functions are tables for scripts.
local function seen(problem)
  if type(problem) == "userdata" then
    spend(RAISED)
    return raw.raised(problem) or problem
  end
  return problem
end

-- As in Redis an error that is a table with `err` arrives as that.
local function caught(ok, problem, ...)
  if not ok then
    problem = seen(problem)
    local text = type(problem) == "table" and rawget(problem, "err") or nil
    if text ~= nil then return ok, text end
  end
  return ok, problem, ...
end
globals.pcall = function(...) return caught(pcall(...)) end
globals.xpcall = function(...)
  local body, handler = ...
  if select("#", ...) < 2 then return xpcall(...) end
  return xpcall(body, function(problem) return handler(seen(problem)) end)
end

-- Addresses are different in every run; numbers are not.
local names = setmetatable({}, { __mode = "k" })
local named = 0
globals.tostring = function(...)
  local value = ...
  local kind = type(value)
  local text = tostring(...)
  if value == raw.cjson.null then return "userdata: (nil)" end
  if kind == "table" or kind == "function" or kind == "thread" or kind == "userdata" then
    local metatable = getmetatable(value)
    if type(metatable) == "table" and rawget(metatable, "__tostring") then return text end
    if not names[value] then
      named = named + 1
      names[value] = format("%s: 0x%012x", kind, named)
    end
    return names[value]
  end
  return text
end

-- Compiled code that was tampered with could do anything.
local function compile(text, name, seen_by_it)
  if byte(text, 1) == 27 then return nil, "attempt to load a compiled chunk" end
  local made, problem
  if #text <= CODE then
    made, problem = loadstring(text, name or text)
  else
    local at = 1
    made, problem = load(function()
      local part = sub(text, at, at + CODE - 1)
      at = at + CODE
      spend(#part / 8)
      if part ~= "" then return part end
    end, name or text)
  end
  if not made then return nil, problem end
  return setfenv(made, seen_by_it or world)
end
globals.loadstring = function(...)
  local text, name = ...
  if type(text) == "number" then text = tostring(text) end
  if type(text) ~= "string" then return loadstring(...) end
  return compile(text, name)
end
globals.load = function(...)
  local more, name = ...
  if type(more) ~= "function" then return load(...) end
  local parts = {}
  while true do
    local ok, part = pcall(more)
    if not ok then return nil, seen(part) end
    if part == nil or part == "" then break end
    if type(part) ~= "string" and type(part) ~= "number" then
      return nil, "reader function must return a string"
    end
    parts[#parts + 1] = part
  end
  return compile(concat(parts), name or "=(load)")
end

-- The libraries.
local function library(name, source)
  local copied = {}
  for key, value in pairs(source) do copied[key] = value end
  globals[name] = read_only(copied)
  return copied
end

local strings = library("string", string)
-- What could take for ever in C is our own.
strings.find, strings.match, strings.rep = raw.strings.find, raw.strings.match, raw.strings.rep
local next_match, gmatch_arguments = raw.strings.next_match, raw.strings.gmatch_arguments
local gsub_text, gsub_arguments = raw.strings.gsub, raw.strings.gsub_arguments

strings.gmatch = function(...)
  local text, pattern = gmatch_arguments(...)
  local offset = 0
  local function found(first, last, ...)
    if not first then
      offset = #text + 1
      return
    end
    offset = last > first and last or last + 1
    return ...
  end
  return function()
    if offset > #text then return end
    return found(next_match(text, pattern, offset, false))
  end
end
strings.gfind = strings.gmatch

strings.gsub = function(...)
  local text, pattern, most, is_anchored = gsub_arguments(...)
  local _, _, replacement = ...
  local kind = type(replacement)
  if kind ~= "function" and kind ~= "table" then
    local made, count = gsub_text(text, pattern, replacement, most, is_anchored)
    return made, count
  end
  local parts, count, offset = {}, 0, 0
  local function replaced(first, last, ...)
    if not first then return end
    count = count + 1
    local value
    if kind == "table" then value = replacement[(...)] else value = replacement(...) end
    if not value then
      value = text:sub(first + 1, last)
    elseif type(value) ~= "string" and type(value) ~= "number" then
      error("invalid replacement value (a " .. type(value) .. ")", 3)
    end
    parts[#parts + 1] = text:sub(offset + 1, first) .. value
    offset = last
    if first == last then
      parts[#parts + 1] = text:sub(last + 1, last + 1)
      offset = last + 1
    end
    return true
  end
  while count < most and offset <= #text do
    local more = replaced(next_match(text, pattern, offset, is_anchored))
    if not more or is_anchored then break end
  end
  parts[#parts + 1] = text:sub(offset + 1)
  return concat(parts), count
end
-- Methods of strings are looked up here.
getmetatable("").__index = strings
getmetatable("").__metatable = locked

local tables = library("table", table)
local insert, remove, sort = tables.insert, tables.remove, tables.sort
local tobit = raw.bit.tobit
-- A position as C has it, if from there many elements may be moved.
local function far_position(table, position)
  if type(table) ~= "table" then return end
  local number = tonumber(position)
  if not number or #table <= MOVED and number >= 1 and number < 2^31 then return end
  return tobit(number < 0 and ceil(number) or floor(number))
end
-- Moves elements in parts that can be left.
tables.insert = function(...)
  local table, position, value = ...
  check_writable(table)
  local first = select("#", ...) == 3 and far_position(table, position)
  if first then
    local last = #table + 1
    if last - first > MOVED then
      for index = last, first + 1, -1 do rawset(table, index, rawget(table, index - 1)) end
      rawset(table, first, value)
      return
    end
  end
  return insert(...)
end
tables.remove = function(...)
  local table, position = ...
  check_writable(table)
  local first = position ~= nil and far_position(table, position)
  if first then
    local last = #table
    if first >= 1 and last - first > MOVED then
      local removed = rawget(table, first)
      for index = first, last - 1 do rawset(table, index, rawget(table, index + 1)) end
      rawset(table, last, nil)
      return removed
    end
  end
  return remove(...)
end
local setn = tables.setn
tables.setn = function(...)
  check_writable((...))
  return setn(...)
end

-- A comparison in Lua can be left and ended.
local function less(one, other) return one < other end
tables.sort = function(...)
  local table, compare = ...
  check_writable(table)
  if type(table) == "table" and #table > LONG then
    if compare == nil then return sort(table, less) end
    if type(compare) == "function" and not pcall(dump, compare) then
      return sort(table, function(one, other) return compare(one, other) end)
    end
  end
  return sort(...)
end

-- So can a loop.
local foreach, foreachi = tables.foreach, tables.foreachi
tables.foreach = function(...)
  local table, body = ...
  if type(table) ~= "table" or type(body) ~= "function" then return foreach(...) end
  for key, value in next, table do
    local result = body(key, value)
    if result ~= nil then return result end
  end
end
tables.foreachi = function(...)
  local table, body = ...
  if type(table) ~= "table" or type(body) ~= "function" then return foreachi(...) end
  for index = 1, #table do
    local result = body(index, rawget(table, index))
    if result ~= nil then return result end
  end
end

local concat_long = raw.strings.concat
tables.concat = function(...)
  local table, separator, _, last = ...
  local is_long = last ~= nil or type(table) == "table" and #table > LONG
    or type(separator) == "string" and #separator > LONG
  if is_long then return concat_long(...) end
  return concat(...)
end

for _, name in ipairs { "bit", "cjson", "cmsgpack", "struct" } do library(name, raw[name]) end
local maths = library("math", math)
maths.random = raw.random
maths.randomseed = raw.seed
globals.os = read_only({ clock = raw.clock })

local coroutines = library("coroutine", coroutine)
local resume = coroutine.resume
local function resumed(ok, problem, ...)
  if not ok then return ok, seen(problem) end
  return ok, problem, ...
end
local create, wrap = coroutine.create, coroutine.wrap
local function wrapped(ok, ...)
  if ok then return ... end
  local problem = seen((...))
  error(problem, type(problem) == "string" and 3 or 0)
end
coroutines.wrap = function(body)
  if type(body) ~= "function" then return wrap(body) end
  local thread = create(body)
  return function(...) return wrapped(resume(thread, ...)) end
end
coroutines.resume = function(...) return resumed(resume(...)) end

-- `redis`.
local redis = {}
for name, value in pairs(raw.constants) do redis[name] = value end

for _, name in ipairs {
  "call", "pcall", "sha1hex", "log", "setresp", "set_repl", "acl_check_cmd",
} do
  redis[name] = raw[name]
end

local function error_table(text)
  local code, rest = text:match("^%-?([^ ]*) ?(.*)$")
  if rest == "" then return { err = "ERR " .. code } end
  return { err = code .. " " .. rest }
end

local function one_text(...)
  local text = ...
  return select("#", ...) == 1 and (type(text) == "string")
end
redis.error_reply = function(...)
  if not one_text(...) then return { err = "ERR wrong number or type of arguments" } end
  return error_table((...))
end
redis.status_reply = function(...)
  if not one_text(...) then return { err = "ERR wrong number or type of arguments" } end
  return { ok = (...) }
end
redis.replicate_commands = function() return true end
redis.breakpoint = function() return false end
redis.debug = function() end
globals.redis = read_only(redis)
-- The same under the name that Valkey gives it, with what only that has.
local server = {}
for name, value in pairs(redis) do server[name] = value end
for name, value in pairs(raw.server_constants) do server[name] = value end
globals.server = read_only(server)

-- What libraries of functions see: while they are loaded only what is here, then all globals.
local function nonexistent(_, name)
  error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
end
local loading_redis = setmetatable({ register_function = raw.register_function, log = raw.log }, {
  __index = nonexistent,
})
for name, value in pairs(raw.constants) do
  if name:sub(1, 5) ~= "REPL_" then loading_redis[name] = value end
end
local loading_server = setmetatable({}, { __index = nonexistent })
for name, value in pairs(loading_redis) do loading_server[name] = value end
for name, value in pairs(raw.server_constants) do loading_server[name] = value end
local loading = setmetatable({
  redis = read_only(loading_redis),
  server = read_only(loading_server),
}, { __index = nonexistent })
local library_view = {
  __index = globals,
  __newindex = function() error(READ_ONLY, 2) end,
  __metatable = locked,
}
local library_world = setmetatable({}, library_view)
contents[library_world] = globals

-- What the interpreter calls.
local api = {}

function api.spend(units)
  spend(units)
end
function api.forget_debts()
  spend(-1)
end

local function handler(problem)
  problem = seen(problem)
  if type(problem) ~= "table" then problem = { err = "ERR " .. tostring(problem) } end
  local source, line = raw.place()
  return {
    err = rawget(problem, "err"),
    source = source,
    line = line,
    ignore_error_stats_update = rawget(problem, "ignore_error_stats_update"),
  }
end

-- Runs the text of a library, which registers its functions; the error if there is one.
function api.load(text)
  local body, problem = compile(text, "@user_function", library_world)
  if not body then return "Error compiling function: " .. problem end
  library_view.__index = loading
  local ok, raised = pcall(body)
  if ok then return nil end
  raised = seen(raised)
  if type(raised) == "table" then
    raised = tostring(rawget(raised, "err"))
  else
    raised = "ERR " .. tostring(raised)
  end
  return "Error registering functions: " .. raised
end

-- From here on functions see all globals, however the loading has ended.
function api.end_load()
  library_view.__index = globals
end

-- What `xpcall` returns; the handler is not called for what the interpreter itself raises.
local function ended(ok, value)
  if not ok and type(value) == "userdata" then value = handler(value) end
  return ok, value
end

-- Runs a function, as `api.run` runs a script.
function api.call(body, keys, argv)
  keys, argv = keys or {}, argv or {}
  return ended(xpcall(function() return body(keys, argv) end, handler))
end

-- After a script that was ended from outside: none runs.
function api.end_run()
  is_running, has_keys, has_argv = false, false, false
  globals.KEYS, globals.ARGV = nil, nil
end

-- Runs a script: whether it came to its end and its value; or the error and its place. A list
-- without a word is nil.
function api.run(script, keys, argv)
  is_running = true
  if keys then
    has_keys = true
    globals.KEYS = keys
  end
  if argv then
    has_argv = true
    globals.ARGV = argv
  end
  local ok, value = xpcall(script, handler)
  is_running = false
  if has_keys then
    globals.KEYS = nil
    has_keys = false
  end
  if has_argv then
    globals.ARGV = nil
    has_argv = false
  end
  if ok then return ok, value end
  return ended(ok, value)
end

function api.compile(text)
  return compile(text, "@user_script")
end

return api
