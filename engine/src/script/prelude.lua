-- Makes the world that scripts see, once for an interpreter: what Redis allows, read-only, and the
-- functions of `redis`. Gets the interpreter's own functions and constants, returns what the
-- interpreter calls.
local raw = ...

local error, getmetatable, ipairs = error, getmetatable, ipairs
local loadstring, next, pairs, pcall, rawget = loadstring, next, pairs, pcall, rawget
local rawset, setfenv, setmetatable, tostring = rawset, setfenv, setmetatable, tostring
local type, xpcall, select = type, xpcall, select
local concat, format, byte = table.concat, string.format, string.byte

local READ_ONLY = "Attempt to modify a readonly table"
-- A longer pattern could use up the stack that matching runs on.
local PATTERN_BYTES_MAX = 4096

-- What is behind a read-only table. The table itself is empty, or it could be written to.
local contents = setmetatable({}, { __mode = "k" })

local function read_only(table)
  local proxy = setmetatable({}, {
    __index = table,
    __newindex = function() error(READ_ONLY, 2) end,
    __metatable = false,
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
setmetatable(globals, {
  __index = function(_, name)
    error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
  end,
})

for _, name in ipairs {
  "assert", "collectgarbage", "error", "gcinfo", "getmetatable", "ipairs", "rawequal", "select",
  "tonumber", "type", "unpack",
} do
  globals[name] = _G[name]
end
globals._G = world
globals._VERSION = _VERSION

globals.next = function(table, key) return next(contents[table] or table, key) end
globals.pairs = function(table) return next, contents[table] or table, nil end
globals.rawget = function(table, key) return rawget(contents[table] or table, key) end
globals.rawset = function(table, key, value)
  if contents[table] then error(READ_ONLY, 0) end
  return rawset(table, key, value)
end
globals.setmetatable = function(table, metatable)
  if contents[table] then error(READ_ONLY, 0) end
  return setmetatable(table, metatable)
end

-- Errors of our own functions are tables for scripts.
local function seen(problem)
  if type(problem) == "userdata" then return raw.raised(problem) or problem end
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
globals.xpcall = function(body, handler)
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
local function compile(text, name)
  if byte(text, 1) == 27 then return nil, "attempt to load a compiled chunk" end
  local made, problem = loadstring(text, name or text)
  if not made then return nil, problem end
  return setfenv(made, world)
end
globals.loadstring = function(text, name)
  if type(text) ~= "string" then error("bad argument #1 to 'loadstring' (string expected)", 2) end
  return compile(text, name)
end
globals.load = function(more, name)
  local parts = {}
  while true do
    local part = more()
    if part == nil or part == "" then break end
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
for _, name in ipairs { "find", "match", "gmatch", "gfind", "gsub" } do
  local search = strings[name]
  strings[name] = function(text, pattern, ...)
    if type(pattern) == "string" and #pattern > PATTERN_BYTES_MAX then
      error("pattern is too long", 2)
    end
    return search(text, pattern, ...)
  end
end
-- Methods of strings are looked up here.
getmetatable("").__index = strings
getmetatable("").__metatable = false

local tables = library("table", table)
for _, name in ipairs { "insert", "remove", "sort", "setn" } do
  local change = tables[name]
  tables[name] = function(table, ...)
    check_writable(table)
    return change(table, ...)
  end
end

for _, name in ipairs { "bit", "cjson", "cmsgpack", "struct" } do library(name, raw[name]) end
local maths = library("math", math)
maths.random = raw.random
maths.randomseed = function(seed) raw.seed(seed) end

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
globals.server = globals.redis

-- What the interpreter calls.
local api = {}

local function handler(problem)
  problem = seen(problem)
  if type(problem) ~= "table" then problem = { err = "ERR " .. tostring(problem) } end
  local source, line = raw.place()
  return { err = rawget(problem, "err"), source = source, line = line }
end

-- Runs a script: whether it came to its end and its value; or the error and its place.
function api.run(script, keys, argv)
  globals.KEYS, globals.ARGV = keys, argv
  local ok, value = xpcall(script, handler)
  globals.KEYS, globals.ARGV = nil, nil
  return ok, value
end

function api.compile(text)
  return compile(text, "@user_script")
end

return api
