//! Conversations, one snapshot per family of commands: what a person would see in redis-cli.
//!
//! The replies of commands that Redis 7.0 has were compared with a real server by the differential
//! test; for the newer ones these transcripts say what was decided. Change a snapshot with
//! `INSTA_UPDATE=always cargo test -p orrery-tests --test transcripts` and read the difference.

use orrery_tests::transcript::transcript;

macro_rules! conversations {
    ($($name:ident: $script:expr;)*) => {
        $(
            #[test]
            fn $name() {
                insta::with_settings!({ omit_expression => true }, {
                    insta::assert_snapshot!(stringify!($name), transcript($script));
                });
            }
        )*
    };
}

conversations! {
    set_cardinalities: "
        # Redis 8.10: counting members that nobody wants to see
        SADD a 1 2 3 4 x
        SADD b 3 4 5
        SUNIONCARD 2 a b
        SUNIONCARD 2 a b LIMIT 4
        SUNIONCARD 2 a b LIMIT 0
        SUNIONCARD 2 a b APPROX
        SUNIONCARD 2 a b LIMIT 4 APPROX
        SUNIONCARD 3 a none a
        SDIFFCARD 2 a b
        SDIFFCARD 2 a b LIMIT 1
        SDIFFCARD 2 a a
        SDIFFCARD 2 none a
        # What is refused
        SUNIONCARD 0 a
        SUNIONCARD 3 a b
        SUNIONCARD x a
        SUNIONCARD 2 a b LIMIT -1
        SUNIONCARD 2 a b LIMIT
        SDIFFCARD 2 a b APPROX
        SET text x
        SDIFFCARD 2 a text
        SUNIONCARD 2 text none
    ";
    set_and_get: "
        # A value, a condition, the old value
        SET k hello
        GET k
        SET k again NX
        SET k again XX GET
        SET none v XX GET
        GETSET k third
        GETDEL k
        GET k
        # Times to live
        SET k v EX 100
        SET k w KEEPTTL
        TTL k
        @sleep 100001
        GET k
        SETEX k 10 v
        PSETEX k 1500 v
        PTTL k
        GETEX k PERSIST
        PTTL k
        GETEX k PXAT 1
        EXISTS k
        # What is refused
        SET k v EX 0
        SET k v EX 10 PX 10
        SET k v NX XX
        SETEX k -1 v
        SET k
    ";
    compare_and_set: "
        # A condition on the value, Redis 8.4 and Valkey 8.1
        SET k v IFEQ v
        SET k v IFNE v
        SET k w IFEQ v GET
        SET k x IFEQ v GET
        SET k x IFNE w
        GET k
        # and on its digest, in any case
        SET k \"Hello world\"
        DIGEST k
        SET k v IFDEQ B6ACB9D84A38FF74
        SET k v IFDNE b6acb9d84a38ff74
        SET k v IFDEQ b6ac
        SET k v IFDEQ 00000000000000zz
        SET k v IFEQ v NX
        SET k v IFEQ v IFEQ v
        SET k v IFEQ
        DIGEST none
        SET n 12
        DIGEST n
        SET text 1
        APPEND text 2
        SET text v IFDEQ 7ecd2e572c949f74
        # A lock: take, extend, release, with the token of its owner
        SET lock mine NX PX 1000
        SET lock theirs NX PX 1000
        @sleep 900
        SET lock mine IFEQ mine PX 1000
        PTTL lock
        DELEX lock IFEQ theirs
        DELIFEQ lock theirs
        DELEX lock IFEQ mine
        EXISTS lock
        # Deleting with a condition
        DELEX lock IFNE x
        SET k v
        DELEX k IFNE v
        DELEX k IFDEQ 0000000000000000
        DELEX k IFDNE 0000000000000000
        SET k v
        DELEX k
        DELIFEQ k v
        DELEX k IFXX v
        DELEX k IFEQ
        DELEX k IFEQ v IFEQ v
        DELEX k IFDEQ 1
    ";
    counters: "
        INCR n
        INCRBY n 9
        DECR n
        DECRBY n -3
        INCRBYFLOAT n 0.1
        INCR n
        SET n 9223372036854775807
        INCR n
        DECRBY n -9223372036854775808
        INCRBY n 1.5
        SET n abc
        INCR n
        INCRBYFLOAT n 1
        INCRBYFLOAT m 1e30
        INCRBYFLOAT m 1e5000
    ";
    bounded_counters: "
        # INCREX of Redis 8.8: the new value and what was added
        INCREX n
        INCREX n BYINT 5
        INCREX n BYINT -10
        INCREX f BYFLOAT 0.25
        INCREX n BYFLOAT 0.5
        INCREX n BYINT 1
        # Bounds: outside nothing is done, or the bound is stored
        SET n 99
        INCREX n BYINT 5 UBOUND 100
        INCREX n BYINT 5 UBOUND 100 SATURATE
        INCREX n BYINT 5 UBOUND 100 SATURATE
        INCREX n BYINT -5 LBOUND 200
        INCREX n BYINT -5 LBOUND 200 SATURATE
        INCREX fresh BYINT 5 UBOUND 3
        EXISTS fresh
        SET n 9223372036854775807
        INCREX n
        INCREX n SATURATE
        SET n -9223372036854775808
        INCREX n BYINT 0 LBOUND 9223372036854775807 SATURATE
        INCREX f BYFLOAT 10 UBOUND 1.5 SATURATE
        INCREX f BYFLOAT 1e4933 SATURATE UBOUND inf
        INCREX f BYFLOAT 1e30 UBOUND inf
        INCREX f BYFLOAT -1e30 LBOUND -1
        # A window: the first request opens it, later ones do not move its end
        INCREX w UBOUND 2 EX 60 ENX
        @sleep 30000
        INCREX w UBOUND 2 EX 60 ENX
        INCREX w UBOUND 2 EX 60 ENX
        TTL w
        @sleep 30001
        INCREX w UBOUND 2 EX 60 ENX
        INCREX w PX 5000
        PTTL w
        INCREX w
        PTTL w
        INCREX w PERSIST
        PTTL w
        # What is refused
        INCREX n ENX
        INCREX n EX 10 PERSIST
        INCREX n PERSIST ENX
        INCREX n BYINT 1 BYFLOAT 1
        INCREX n BYINT x
        INCREX n BYINT 1 LBOUND 1.5
        INCREX n BYINT 1 LBOUND 5 UBOUND 4
        INCREX n BYFLOAT nan
        INCREX n BYFLOAT inf
        INCREX n EX 0
        INCREX n BYINT
        INCREX n FOO
        # In RESP3 floats are doubles
        @hello 3
        INCREX f BYFLOAT -0.5
    ";
    substrings: "
        APPEND k Hello
        APPEND k \" World\"
        STRLEN k
        GETRANGE k 0 4
        GETRANGE k -5 -1
        GETRANGE k 5 2
        SUBSTR k 0 1
        SETRANGE k 6 Redis
        SETRANGE k 13 !
        GET k
        SETRANGE k -1 x
        SETRANGE k 536870912 x
        SETRANGE none 10 \"\"
        EXISTS none
        STRLEN none
        GETRANGE none 0 -1
    ";
    many_keys: "
        MSET a 1 b 2
        MGET a b c
        MSETNX c 3 a 4
        MSETNX c 3 d 4
        MGET a b c d
        MSET a 1 b
        MSETNX a 1 b
        # MSETEX of Redis 8.4
        MSETEX 2 a x b y EX 10
        TTL b
        MSETEX 2 a x new y XX
        MSETEX 2 a x new y NX
        MSETEX 2 new1 x new2 y NX PX 1500
        PTTL new2
        MSETEX 1 a z KEEPTTL
        TTL a
        MSETEX 1 a z
        TTL a
        MGET a b new1 new2
        MSETEX 0 a x
        MSETEX x a x
        MSETEX 3 a x b y
        MSETEX 1 a x EX 0
        MSETEX 1 a x NX XX
        MSETEX 1 a x b
    ";
    common_subsequences: "
        MSET a ohmytext b mynewtext
        LCS a b
        LCS a b LEN
        LCS a b IDX
        LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN
        LCS a none
        LCS a b IDX LEN
        @hello 3
        LCS a b IDX
    ";
    names_and_databases: "
        MSET a 1 b 2
        RENAME a c
        RENAMENX b c
        RENAME none x
        COPY c d
        COPY c d
        COPY c b REPLACE
        MGET a b c d
        COPY c c
        COPY c c DB 1
        MOVE d 1
        MOVE d 1
        MOVE c 1
        MOVE c 16
        SELECT 1
        MGET c d
        EXISTS c d c e
        TYPE c
        TYPE none
        TOUCH c d e
        UNLINK c e
        DEL d
        RANDOMKEY
    ";
    expiry: "
        SET k v
        TTL k
        TTL none
        EXPIRE k 100
        EXPIRE k 200 NX
        EXPIRE k 200 LT
        EXPIRE k 200 GT
        TTL k
        PEXPIRE k 1500 XX
        PTTL k
        TTL k
        PERSIST k
        PERSIST k
        EXPIRE k 10 GT
        EXPIRE k 10 LT
        EXPIREAT k 4102444800
        EXPIRETIME k
        PEXPIRETIME k
        PEXPIREAT k 1767225601000
        # A key lives through the millisecond of its deadline
        @sleep 1000
        EXISTS k
        @sleep 1
        EXISTS k
        SET k v
        EXPIRE k -1
        EXISTS k
        EXPIRE k 1 NX XX
        EXPIRE k 1 GT LT
        EXPIRE k 1 FOO
        EXPIRE k 9223372036854775807
    ";
    listing: "
        MSET one 1 two 2 three 3
        KEYS t[h-w]o
        KEYS none
        SCAN 0 COUNT 1000 MATCH tw*
        SCAN 0 COUNT 1000 TYPE list
        SCAN 0 COUNT 0
        SCAN x
        SCAN 0 MATCH
    ";
}
