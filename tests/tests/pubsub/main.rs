//! Publishing and subscribing: conversations in both protocols, clients that come and go, limits,
//! a model, and the real server beside; and the messages of client-side caching.

mod clients;
mod differential;
mod limits;
mod model;
mod notifications;
mod tracking;
mod tracking_differential;
mod tracking_model;

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
    subscribers_of_resp2: "
        # Each name is confirmed by itself, with what the client then has
        SUBSCRIBE news sport news
        PSUBSCRIBE n* *
        SSUBSCRIBE news
        # Little else is allowed now
        GET k
        CLIENT LIST
        MULTI
        NOSUCH
        GET
        PING
        PING hello
        PING too many
        # Channel first, then patterns in their order
        @client publisher
        PUBLISH news today
        PUBLISH weather rain
        PUBLISH news \"\"
        PUBLISH \"\" empty
        SPUBLISH news shard
        SPUBLISH other shard
        PUBSUB CHANNELS
        PUBSUB CHANNELS s*
        PUBSUB NUMSUB news sport none news
        PUBSUB NUMSUB
        PUBSUB NUMPAT
        PUBSUB SHARDCHANNELS
        PUBSUB SHARDCHANNELS x*
        PUBSUB SHARDNUMSUB news sport
        PUBSUB CHANNELS a b
        PUBSUB HELP
        @client main
        @read
        # What was never subscribed to is confirmed too
        UNSUBSCRIBE none news
        PUNSUBSCRIBE
        SUNSUBSCRIBE
        SUNSUBSCRIBE
        PING
        UNSUBSCRIBE
        UNSUBSCRIBE
        PUNSUBSCRIBE
        PING
        GET k
    ";
    subscribers_of_resp3: "
        @hello 3
        SUBSCRIBE news sport
        PSUBSCRIBE n*
        SSUBSCRIBE s
        # Everything is allowed, and messages of one's own come behind the reply
        GET k
        PING
        PUBLISH news today
        SPUBLISH s shard
        PUBLISH none today
        @client publisher
        PUBLISH news tomorrow
        @client main
        @read
        # Down to RESP2 with all subscriptions
        @hello 2
        GET k
        PING
        UNSUBSCRIBE
        RESET
        GET k
        @client publisher
        PUBLISH news never
        @client main
        @read
        @hello 3
        UNSUBSCRIBE
        SUNSUBSCRIBE none
    ";
    silence: "
        # Whoever wants no replies still gets confirmations and messages
        CLIENT REPLY OFF
        PING
        SUBSCRIBE a
        PING
        @client other
        PUBLISH a message
        @client main
        @read
        UNSUBSCRIBE a
        CLIENT REPLY SKIP
        CLIENT REPLY ON
        CLIENT REPLY SKIP
        SUBSCRIBE a
        PING
        RESET
        @hello 3
        CLIENT REPLY OFF
        SUBSCRIBE a
        PUBLISH a own
        CLIENT REPLY ON
    ";
    events_of_keys: "
        CONFIG SET notify-keyspace-events KEAmn
        CONFIG GET notify-keyspace-events
        @client listener
        PSUBSCRIBE __key*__:*
        @client main
        SET k v EX 10
        GET none
        DEL k
        SELECT 3
        LPUSH l a
        LPOP l
        @client listener
        @read
        # One kind of channel, one class
        @client main
        CONFIG SET notify-keyspace-events Kl
        RPUSH l a
        SET k v
        @client listener
        @read
        @client main
        CONFIG SET notify-keyspace-events l
        RPUSH l b
        CONFIG SET notify-keyspace-events q
        @client listener
        @read
        # A key whose time comes by itself, and one that is found
        @client main
        CONFIG SET notify-keyspace-events Ex
        SET soon v PX 100
        @sleep 200
        @client listener
        @read
    ";
    overwritten_keys: "
        # Redis 8.2: first, and type_changed where it is; RENAME and COPY say it last
        CONFIG SET notify-keyspace-events KEgoc
        @client listener
        PSUBSCRIBE __keyspace@*
        @client main
        SET a 1
        SET a 2
        APPEND a 3
        INCR a
        SET a 2 KEEPTTL
        GETSET a 3
        MSETEX 2 a 4 b 4
        LPUSH l x
        SET l 1
        SADD s x
        SADD t y
        SUNIONSTORE a s t
        SUNIONSTORE s s t
        COPY s b REPLACE
        COPY s t REPLACE
        RENAME b l
        SET gone 1 PX 1
        @sleep 10
        SET gone 2
        @client listener
        @read
    ";
    events_of_fields: "
        # Redis 8.8
        CONFIG SET notify-keyspace-events STIV
        CONFIG GET notify-keyspace-events
        @client listener
        PSUBSCRIBE __subkey*
        @client main
        HSET h a 1 b 2 a 3
        HSETNX h a 1
        HDEL h a none
        @client listener
        @read
        # One kind of channel; no class is asked for
        @client main
        CONFIG SET notify-keyspace-events T
        HINCRBY h n 2
        HINCRBYFLOAT h n 0.5
        HEXPIRE h 100 FIELDS 2 b none
        HPERSIST h FIELDS 2 b n
        HSETEX h EX 100 FIELDS 2 c 3 d 4
        HGETEX h PERSIST FIELDS 1 c
        HGETDEL h FIELDS 2 c none
        HPEXPIREAT h 1 FIELDS 1 b
        @client listener
        @read
        # Together those whose time has come; and not one by one
        @client main
        CONFIG SET notify-keyspace-events ST
        HSET big a 1 b 2 c 3 \"x,y|\\n\" 4
        HPEXPIRE big 5 FIELDS 3 a c \"x,y|\\n\"
        @sleep 50
        @client listener
        @read
        # A key with a line end has no channels of items
        @client main
        CONFIG SET notify-keyspace-events IV
        HSET \"line\\nend\" f v
        @client listener
        @read
    ";
    events_of_later_commands: "
        # Those that Redis 7.0 does not have
        CONFIG SET notify-keyspace-events KA
        @client listener
        PSUBSCRIBE __key*__:*
        @client main
        HSET h a 1 b 2 c 3
        HEXPIRE h 100 FIELDS 1 a
        HPEXPIREAT h 1 FIELDS 1 b
        HPERSIST h FIELDS 2 a c
        HEXPIRE none 100 FIELDS 1 a
        HPEXPIRE h 50 FIELDS 1 a
        @client listener
        @read
        @client main
        @sleep 100
        @client listener
        @read
        @client main
        HSETEX h EX 100 FIELDS 1 d 4
        HGETEX h PERSIST FIELDS 1 d
        HGETEX h EX 100 FIELDS 1 d
        HGETEX h FIELDS 1 d
        HGETDEL h FIELDS 2 c d
        @client listener
        @read
        @client main
        RPUSH l a b c
        MSETEX 2 a 1 b 2 EX 100
        DELEX a IFEQ 1
        INCREX n BYINT 2 EX 10
        INCREX n PERSIST
        INCREX f BYFLOAT 1.5
        XADD s 1-1 a 1
        XADD s 2-1 a 1
        XACKDEL s none IDS 1 1-1
        XDELEX s IDS 1 1-1
        @client listener
        @read
    ";
}
