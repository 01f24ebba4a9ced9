//! Steps of scripts: what one instruction does is counted, time stands still within a step, and
//! nothing follows from addresses.

use super::{STEPS_MAX, eval};
use orrery_tests::resp_value::encode;
use orrery_tests::server_in_process::Server;

/// What a script replies, and how many steps it takes behind its first.
fn run(server: &mut Server, script: &str) -> (String, usize) {
    let conn = server.connect();
    let mut output = server.send(conn, &encode(&["EVAL", script, "0"]));
    for steps in 0..STEPS_MAX {
        if !output.is_empty() {
            assert!(!output.starts_with(b"-"), "{script}: {}", output.escape_ascii());
            return (output.escape_ascii().to_string(), steps);
        }
        server.tick();
        output = server.output(conn);
    }
    panic!("{script} does not end");
}

#[test]
fn what_one_instruction_does_is_counted() {
    let mut server = Server::default();
    for setup in [
        "for i = 1, 100 do redis.call('RPUSH', 'list', unpack(cjson.decode('[' .. \
         ('1,'):rep(999) .. '1]'))) end",
        "local x = ('x'):rep(1000) for i = 1, 1000 do redis.call('RPUSH', 'alike', \
         x .. i .. '0000') end",
    ] {
        run(&mut server, setup);
    }
    for script in [
        // Long texts.
        "local s = ('x'):rep(1e6) for i = 1, 100 do local t = s .. i end",
        "local s = ('x'):rep(1e6) for i = 1, 100 do s:reverse() end",
        "local s = ('x'):rep(1e6) for i = 1, 100 do s:find('xy', 1, true) end",
        "local s = ('x'):rep(1e6) local a, b = s .. 'a', s .. 'b' \
         for i = 1, 100 do local t = a < b end",
        "local s = ('1'):rep(1e6) for i = 1, 100 do tonumber(s) end",
        "local s = ('1'):rep(1e6) for i = 1, 100 do tonumber(s, 36) end",
        "local s = ('1'):rep(1e6) for i = 1, 100 do local x = s + 0 end",
        "local s = ('x'):rep(1e6) for i = 1, 100 do redis.sha1hex(s) end",
        // Texts that Lua's hash takes for the same.
        "local x = ('x'):rep(1000) local t = {} for i = 1, 3000 do t[i] = x .. i .. '0000' end",
        "for i = 1, 10 do redis.call('LRANGE', 'alike', 0, -1) end",
        // Many values.
        "local t = {} for i = 1, 7000 do t[i] = i end for i = 1, 100 do unpack(t) end",
        "local function f(...) for i = 1, 300 do select('#', ...) end end \
         local t = {} for i = 1, 7000 do t[i] = i end f(unpack(t))",
        "for i = 1, 10 do redis.call('LRANGE', 'list', 0, -1) end",
        "local t = {} for i = 1, 1e5 do t[i] = i end return t",
        // Tables.
        "local t = {} for i = 1, 2^14 do t['k' .. i] = i end \
         for i = 1, 300 do t['a' .. i] = 1 t['a' .. i] = nil end",
        "local t = {} for i = 1, 1e5 do t[i] = i end for i = 1, 1e5 do t[i] = nil end \
         for i = 1, 300 do next(t) end",
        "local t = {} for i = 1, 1e4 do t[i] = i end for i = 1, 100 do table.insert(t, 1, i) end",
        "local t = {} for i = 1, 1e4 do t[i] = i end for i = 1, 100 do table.maxn(t) end",
        // Keys that one place of a table is for.
        "local t, base = {}, 2^52 + 2^40 for i = 1, 6000 do t[base + i * (2^32 - 1)] = i end",
        // The collector and the compiler.
        "local t = {} for i = 1, 2e4 do t[i] = {} end for i = 1, 10 do collectgarbage() end",
        "local s = ('do end '):rep(1e5) loadstring(s)",
        "loadstring('return ' .. ('a and '):rep(2000) .. 'a')",
    ] {
        let (_, steps) = run(&mut server, script);
        assert!(steps >= 4, "{steps}: {script}");
    }
    let (_, steps) = run(&mut server, "for i = 1, 1000 do local t = {i, tostring(i)} end");
    assert_eq!(steps, 0, "of what is short all is done at once");
}

#[test]
fn a_clock_tells_the_time_of_the_step() {
    let mut server = Server::default();
    let script = "local a = os.clock() for i = 1, 5000 do end return tostring(os.clock() - a)";
    assert_eq!(eval(&mut server, script).to_string(), "\"0\"");
    let conn = server.connect();
    let script = "local n = 0 while os.clock() < 0.25 do n = n + 1 end return tostring(os.clock())";
    assert_eq!(server.send(conn, &encode(&["EVAL", script, "0"])), b"");
    for _ in 0..5 {
        assert_eq!(server.output(conn), b"");
        server.oversleep_ms(50);
        server.tick();
    }
    assert_eq!(server.output(conn), b"$4\r\n0.25\r\n");
}

#[test]
fn nothing_follows_from_addresses() {
    let script = "local kept, list = {}, {} \
                  for i = 1, 500 do \
                    local t, f = {}, function() return i end \
                    local c = coroutine.create(f) \
                    kept[t] = 'a' .. i kept[f] = 'b' .. i kept[c] = 'c' .. i \
                    if i % 3 == 0 then kept[t] = nil end \
                    list[#list + 1] = (i % 7 == 0) and tostring(t) or ('x'):rep(i) \
                  end \
                  for _, value in pairs(kept) do list[#list + 1] = value end \
                  list[#list + 1] = collectgarbage('count') \
                  return table.concat(list, ',')";
    let mut replies = Vec::new();
    let mut junk: Vec<Vec<u8>> = Vec::new();
    for round in 0..5_usize {
        let mut server = Server::default();
        replies.push((run(&mut server, script), run(&mut server, script)));
        // Holes of many sizes, so that the next one has other addresses.
        junk.extend((0..20_000).map(|index: usize| vec![1; 16 + (index * 37 + round) % 600]));
        let mut index = 0;
        junk.retain(|_| {
            index += 1;
            index % 3 != 0
        });
    }
    for reply in &replies[1..] {
        assert_eq!(reply, &replies[0]);
    }
}
