//! Conversations about bitmaps, HyperLogLogs and places; see `transcripts.rs`.

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
    bitmaps: "
        # Bit 0 is the highest bit of the first byte
        SETBIT b 7 1
        GET b
        SETBIT b 7 0
        GETBIT b 100
        SETBIT b 4294967296 1
        SETBIT b 1 2
        # Counting and searching, by bytes and by bits
        SET s foobar
        BITCOUNT s
        BITCOUNT s 1 1
        BITCOUNT s 5 30 BIT
        BITPOS s 1
        BITPOS s 0 3 -1
        BITPOS s 1 2 -1 BIT
        SET f \"\\xff\\xff\"
        BITPOS f 0
        BITPOS f 0 0 -1
        # Operations of Redis 8.2
        SET x \"\\xf0\"
        SET y \"\\xcc\"
        SET z \"\\xaa\"
        BITOP DIFF to x y z
        GET to
        BITOP DIFF1 to x y z
        GET to
        BITOP ANDOR to x y z
        GET to
        BITOP ONE to x y z
        GET to
        BITOP DIFF to x
        BITOP NOT to x y
        BITOP AND to none
        EXISTS to
    ";
    bitfields: "
        BITFIELD k SET u8 0 255 GET i8 0 INCRBY u8 0 1
        BITFIELD k SET i5 #1 -3 GET u5 #1
        BITFIELD k OVERFLOW SAT INCRBY i4 0 100 OVERFLOW FAIL INCRBY i4 0 1
        BITFIELD k GET u64 0
        BITFIELD k OVERFLOW NONE GET u8 0
        BITFIELD_RO k GET u4 0 GET u4 4
        BITFIELD_RO k SET u4 0 1
        BITFIELD k
    ";
    hyperloglogs: "
        PFADD h a b c
        PFADD h a
        PFADD h
        PFCOUNT h
        GETRANGE h 0 15
        PFADD other c d
        PFCOUNT h other none
        PFMERGE h other
        PFCOUNT h
        PFDEBUG ENCODING h
        PFDEBUG DECODE h
        PFDEBUG TODENSE h
        STRLEN h
        PFDEBUG DECODE h
        PFDEBUG NONE h
        PFSELFTEST
        # What is none
        SET s HYLL
        PFADD s a
        SET n 1
        PFCOUNT n
        # One that is broken
        PFADD broken a
        SETRANGE broken 16 \"\\x7f\\x00\"
        PFADD broken a
        PFCOUNT broken
        PFMERGE h broken
    ";
    places: "
        GEOADD Sicily 13.361389 38.115556 Palermo 15.087269 37.502669 Catania
        GEOADD Sicily CH 13.361389 38.115556 Palermo 13.583333 37.316667 Agrigento
        GEOADD Sicily 181 0 nowhere
        GEODIST Sicily Palermo Catania km
        GEOPOS Sicily Palermo none
        GEOHASH Sicily Palermo none
        GEOSEARCH Sicily FROMLONLAT 15 37 BYRADIUS 200 km ASC
        GEOSEARCH Sicily FROMLONLAT 15 37 BYBOX 400 400 km ASC COUNT 2 WITHDIST WITHHASH WITHCOORD
        # As Valkey 9.0 does
        GEOSEARCH Sicily BYPOLYGON 4 13 37 14 37 14 39 13 39 WITHDIST DESC
        GEOSEARCH Sicily BYPOLYGON 2 13 37 14 37
        GEOSEARCH Sicily FROMMEMBER Palermo BYPOLYGON 3 13 37 14 37 14 39
        GEOSEARCHSTORE near Sicily FROMMEMBER Palermo BYRADIUS 100 km STOREDIST
        ZRANGE near 0 -1
        GEORADIUS Sicily 15 37 200 km STORE near
        GEORADIUS_RO Sicily 15 37 200 km STORE near
        GEORADIUSBYMEMBER Sicily Catania 200 km WITHDIST
        # In RESP3 coordinates are doubles, distances are not
        HELLO 3
        GEOPOS Sicily Palermo none
        GEODIST Sicily Palermo none
        GEODIST Sicily Palermo Catania
        GEOSEARCH Sicily FROMMEMBER Palermo BYRADIUS 1 m WITHDIST WITHHASH WITHCOORD
    ";
}
