//! Conversations about streams, one snapshot each: what a person would see in redis-cli.
//!
//! The replies of commands that Redis 7.0 has are compared with a real server by the differential
//! tests; for the newer ones these transcripts say what was decided. Change a snapshot with
//! `INSTA_UPDATE=always cargo test -p orrery-tests --test stream_transcripts` and read the
//! difference.

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
    info_of_a_stream: "
        XADD s 1-1 sensor 42 reading 7
        XADD s 2-0 sensor 42 reading 8
        XADD s 3-0 note text
        XDEL s 2-0
        XINFO STREAM s
        XGROUP CREATE s g 0
        XGROUP CREATE s behind 3 ENTRIESREAD 1
        XGROUP CREATECONSUMER s g idle
        XREADGROUP GROUP g alice COUNT 1 STREAMS s >
        @sleep 1500
        XREADGROUP GROUP g alice STREAMS s 0
        XREADGROUP GROUP g bob STREAMS s >
        @sleep 250
        XREADGROUP GROUP g bob STREAMS s >
        XINFO STREAM s FULL
        XINFO STREAM s FULL COUNT 1
        XINFO GROUPS s
        XINFO CONSUMERS s g
        XINFO CONSUMERS s behind
        @hello 3
        XINFO STREAM s
        XINFO STREAM s FULL COUNT 1
        XINFO GROUPS s
        # An empty stream
        XTRIM s MAXLEN 0
        XINFO STREAM s
        XINFO GROUPS s
        # What is refused
        XINFO STREAM none
        XINFO STREAM s FUL
        XINFO STREAM s FULL COUNT x
        XINFO CONSUMERS s none
        XINFO GROUPS none
        SET text v
        XINFO STREAM text
        XINFO HELP
    ";
    claiming_what_is_idle: "
        XADD s 1-0 a 1
        XADD s 2-0 a 2
        XADD s 3-0 a 3
        XADD s 4-0 a 4
        XADD s 5-0 a 5
        XGROUP CREATE s g 0
        XREADGROUP GROUP g alice COUNT 3 STREAMS s >
        @sleep 1000
        XREADGROUP GROUP g alice STREAMS s >
        # Idle for long enough: the first three
        XAUTOCLAIM s g bob 1000 - COUNT 2
        XAUTOCLAIM s g bob 1000 3 COUNT 2
        XPENDING s g - + 10
        # Deleted entries are taken off the list, and named
        XDEL s 4-0
        XAUTOCLAIM s g carol 0 - COUNT 10 JUSTID
        XPENDING s g - + 10
        # The cursor goes on where looking stopped
        @sleep 10
        XAUTOCLAIM s g dave 5 (1-0 COUNT 1
        XAUTOCLAIM s g dave 5 2-0 COUNT 1
        @hello 3
        XAUTOCLAIM s g dave 0 5-0
        # What is refused
        XAUTOCLAIM s none bob 0 -
        XAUTOCLAIM none g bob 0 -
        XAUTOCLAIM s g bob x -
        XAUTOCLAIM s g bob 0 x
        XAUTOCLAIM s g bob 0 - COUNT 0
        XAUTOCLAIM s g bob 0 - COUNT
        XAUTOCLAIM s g bob 0 (18446744073709551615-18446744073709551615
    ";
    reading_deleted_entries: "
        XADD s 1-0 a 1
        XADD s 2-0 a 2
        XADD s 3-0 a 3
        XGROUP CREATE s g 0
        XREADGROUP GROUP g alice STREAMS s >
        @sleep 100
        XDEL s 1-0 3-0
        # Her own list names them
        XREADGROUP GROUP g alice STREAMS s 0
        @sleep 100
        # Those that are too young stay
        XREADGROUP GROUP g bob CLAIM 250 STREAMS s >
        XPENDING s g - + 10
        # What is claimed is taken off the list, as XAUTOCLAIM does
        XREADGROUP GROUP g bob CLAIM 50 STREAMS s >
        XPENDING s g - + 10
        XDEL s 2-0
        @sleep 100
        XREADGROUP GROUP g carol CLAIM 50 STREAMS s >
        XPENDING s g
        XINFO CONSUMERS s g
    ";
    limits_over_all_streams: "
        XADD s 1-0 a 1
        XADD s 2-0 a 2
        XADD s 3-0 a 3
        XADD t 1-0 a 1
        XADD t 2-0 a 2
        XADD u 1-0 a 1
        # Two of the first, one of the second, none of the third
        XREAD COUNT 2 MAXCOUNT 3 STREAMS s t u 0 0 0
        XREAD MAXCOUNT 4 STREAMS s t u 0 0 0
        XREAD MAXCOUNT 1 STREAMS u t + +
        # As soon as there are so many bytes it is enough, but something comes
        XREAD MAXSIZE 1 STREAMS s t 0 0
        XREAD MAXSIZE 60 STREAMS s t 0 0
        XREAD MAXSIZE 130 STREAMS s t 0 0
        XREAD MAXCOUNT 2 MAXSIZE 1000 STREAMS s t 0 0
        # What is held back is not delivered
        XGROUP CREATE s g 0
        XGROUP CREATE t g 0
        XREADGROUP GROUP g alice MAXCOUNT 4 STREAMS s t > >
        XPENDING s g
        XPENDING t g
        XREADGROUP GROUP g alice MAXSIZE 1 STREAMS s t 0 0
        XREADGROUP GROUP g alice MAXCOUNT 3 STREAMS t s 0 0
        @sleep 100
        # What is claimed counts
        XREADGROUP GROUP g bob MAXCOUNT 2 CLAIM 100 STREAMS t s > >
        XREADGROUP GROUP g bob MAXSIZE 1 CLAIM 100 STREAMS s t > >
        XPENDING s g - + 10
        XPENDING t g - + 10
        # What is refused
        XREAD MAXCOUNT 0 STREAMS s 0
        XREAD MAXCOUNT -1 STREAMS s 0
        XREAD MAXCOUNT x STREAMS s 0
        XREAD MAXSIZE 0 STREAMS s 0
        XREAD MAXSIZE x STREAMS s 0
        XREAD MAXCOUNT 1 COUNT 2 STREAMS s 0
        XREAD MAXCOUNT
        XREADGROUP GROUP g bob COUNT 3 MAXCOUNT 2 STREAMS s >
    ";
    claiming_by_id: "
        XADD s 1-0 a 1
        XADD s 2-0 a 2
        XGROUP CREATE s g 0
        XREADGROUP GROUP g alice STREAMS s >
        @sleep 100
        XCLAIM s g bob 200 1-0
        XCLAIM s g bob 100 1-0 2-0 3-0
        XPENDING s g - + 10
        XCLAIM s g carol 0 1-0 IDLE 5000 RETRYCOUNT 7 JUSTID
        XCLAIM s g carol 0 2-0 TIME 1000 RETRYCOUNT 0
        XPENDING s g IDLE 4000 - + 10
        XCLAIM s g carol 0 2-0 LASTID 9-9 JUSTID
        XINFO GROUPS s
        # Not pending: only with FORCE, and only what is there
        XACK s g 1-0
        XCLAIM s g bob 0 1-0
        XCLAIM s g bob 0 1-0 FORCE JUSTID
        XDEL s 1-0
        XCLAIM s g bob 0 1-0
        XPENDING s g
        # What is refused
        XCLAIM s g bob -1 x
        XCLAIM s g bob x 1-0
        XCLAIM s g bob 0 1-0 IDLE
        XCLAIM s g bob 0 1-0 RETRYCOUNT -1
        XCLAIM s none bob 0 1-0
    ";
    pending_entries: "
        XADD s 1-0 a 1
        XADD s 2-0 a 2
        XADD s 3-0 a 3
        XGROUP CREATE s g 0
        XPENDING s g
        XREADGROUP GROUP g alice COUNT 2 STREAMS s >
        @sleep 500
        XREADGROUP GROUP g bob STREAMS s >
        @sleep 20
        XPENDING s g
        XPENDING s g - + 10
        XPENDING s g - + 1
        XPENDING s g (1-0 + 10
        XPENDING s g - (3-0 10 alice
        XPENDING s g - + 10 nobody
        XPENDING s g IDLE 500 - + 10
        XPENDING s g IDLE 500 - + 10 bob
        XREADGROUP GROUP g alice STREAMS s 0
        XPENDING s g - + 10 alice
        XACK s g 1-0 2-0 9-0
        XPENDING s g
        @hello 3
        XPENDING s g
        XPENDING s g - + 10
        # What is refused
        XPENDING s none
        XPENDING none g
        XPENDING s g -
        XPENDING s g - + x
        XPENDING s g IDLE 1 -
        XPENDING s g - + -1
        XPENDING s g x + 1
    ";
    readers_and_groups: "
        XREAD STREAMS s t 0 0
        XADD s 1-1 a 1
        XADD t 1-1 b 2
        XADD t 1-2 b 3
        XREAD COUNT 1 STREAMS s t 0 1-1
        XREAD STREAMS s t $ +
        XREADGROUP GROUP g alice STREAMS s >
        XGROUP CREATE s g $ MKSTREAM
        XGROUP CREATE s g $
        XGROUP CREATE none g $
        XGROUP SETID s g 0 ENTRIESREAD 0
        XREADGROUP GROUP g alice STREAMS s >
        XREADGROUP GROUP g alice STREAMS s >
        XREADGROUP GROUP g alice STREAMS s 0
        XDEL s 1-1
        XREADGROUP GROUP g alice STREAMS s 0
        XREADGROUP GROUP g alice STREAMS s t > >
        XREADGROUP GROUP g alice STREAMS s $
        XREAD STREAMS s >
        XREAD STREAMS s t 0
        XREAD COUNT 2 BLOCK
        @hello 3
        XREAD STREAMS s t 0 0
        XREAD STREAMS s 5
        XREADGROUP GROUP g alice STREAMS s 0
        XGROUP DELCONSUMER s g alice
        XGROUP DESTROY s g
        XGROUP DESTROY s g
    ";
    waiting_readers: "
        @client reader
        XREAD BLOCK 0 STREAMS s $
        @client member
        XREADGROUP GROUP g alice BLOCK 100 STREAMS s >
        @client main
        XADD s 1-0 a 1
        XGROUP CREATE s g $
        @client reader
        PING
        @client member
        XREADGROUP GROUP g alice BLOCK 100 STREAMS s >
        @sleep 100
        @client member
        PING
        XREADGROUP GROUP g alice BLOCK 0 STREAMS s >
        @client main
        XADD s 2-0 a 2
        @client member
        PING
        XREADGROUP GROUP g alice BLOCK 0 STREAMS s >
        @client main
        XGROUP DESTROY s g
        XGROUP CREATE s g $
        @client member
        PING
        XREADGROUP GROUP g alice BLOCK 0 STREAMS s >
        @client main
        DEL s
        @client member
        PING
    ";
    references_on_deletion: "
        # XDELEX and XACKDEL of Redis 8.2: 1 deleted, -1 not there, 2 still wanted by a group
        XADD s 1-0 a 1
        XADD s 2-0 a 2
        XADD s 3-0 a 3
        XADD s 4-0 a 4
        XGROUP CREATE s g 0
        XGROUP CREATE s h 0
        XREADGROUP GROUP g alice COUNT 3 STREAMS s >
        XREADGROUP GROUP h bob COUNT 2 STREAMS s >
        XDELEX s IDS 2 1-0 9-0
        XPENDING s g
        XDELEX s DELREF IDS 2 1-0 2-0
        XPENDING s g
        XPENDING s h
        XDELEX s ACKED IDS 2 3-0 4-0
        XACKDEL s g ACKED IDS 2 3-0 4-0
        XREADGROUP GROUP h bob STREAMS s >
        XACKDEL s h ACKED IDS 1 3-0
        XACKDEL s h KEEPREF IDS 2 4-0 4-0
        XRANGE s - +
        XADD s 5-0 a 5
        XADD s MAXLEN = 1 ACKED 6-0 a 6
        XTRIM s MAXLEN = 0 ACKED
        XTRIM s MAXLEN 0 DELREF
        # What is refused
        XDELEX s IDS 1
        XDELEX s IDS 2 1-0
        XDELEX s IDS 0 1-0
        XDELEX s FOO IDS 1 1-0
        XDELEX none IDS 1 1-0
        XACKDEL none g IDS 1 1-0
        XACKDEL s none IDS 1 1-0
    ";
    giving_back: "
        # XNACK of Redis 8.8 gives entries back to the group
        XADD s 1-0 a 1
        XADD s 2-0 a 2
        XADD s 3-0 a 3
        XGROUP CREATE s g 0
        XREADGROUP GROUP g alice STREAMS s >
        XNACK s g SILENT IDS 1 1-0
        XNACK s g FAIL IDS 1 2-0
        XNACK s g FATAL IDS 2 3-0 9-0
        XPENDING s g - + 10
        XINFO GROUPS s
        XINFO STREAM s FULL
        # XREADGROUP CLAIM takes them, idle or not
        XREADGROUP GROUP g bob CLAIM 1000 STREAMS s >
        XPENDING s g - + 10
        @sleep 1000
        XADD s 4-0 a 4
        XREADGROUP GROUP g carol COUNT 2 CLAIM 1000 STREAMS s >
        XREADGROUP GROUP g carol CLAIM 1000 STREAMS s >
        XNACK s g FAIL IDS 1 4-0 RETRYCOUNT 9
        XNACK s g FAIL IDS 1 77-0 FORCE
        XPENDING s g - + 10
        # What is refused
        XNACK s g SILENT IDS 1
        XNACK s g NO IDS 1 1-0
        XNACK s none FAIL IDS 1 1-0
        XREADGROUP GROUP g carol CLAIM x STREAMS s >
    ";
    entries_sent_twice: "
        # IDMP of Redis 8.6: an entry under a name that the producer has used is the old one
        XADD s IDMP p 1 1-0 a 1
        XADD s IDMP p 1 * a 1
        XADD s IDMP p one 5-1 a 1
        XADD s IDMP p one * a other
        XADD s IDMP q one * a 1
        XADD s IDMPAUTO p * a 1
        XADD s IDMPAUTO p * a 1
        XINFO STREAM s
        XCFGSET s IDMP-DURATION 1 IDMP-MAXSIZE 2
        XINFO STREAM s
        XADD s IDMP p 1 * a 1
        @sleep 1001
        XADD s IDMP p 1 * a 1
        XLEN s
        # What is refused
        XADD s IDMP p * a 1
        XADD s IDMP p 1 7-7 a 1
        XCFGSET s
        XCFGSET s IDMP-DURATION 0
        XCFGSET s IDMP-MAXSIZE 10001
        XCFGSET none IDMP-DURATION 1
    ";
}
