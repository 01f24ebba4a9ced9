//! What the libraries of scripts write they read again; what others wrote they survive.

use std::collections::BTreeMap;

use mlua::{Function, Lua, LuaOptions, MultiValue, StdLib, Table, Value};
use proptest::prelude::*;

use super::{cjson, cmsgpack, structs};

const MEMORY: usize = 1 << 24;

/// A value that both libraries can write.
#[derive(Clone, Debug, PartialEq, PartialOrd)]
enum Tree {
    Flag(bool),
    Number(f64),
    Text(Vec<u8>),
    List(Vec<Self>),
    Entries(BTreeMap<Vec<u8>, Self>),
}

fn tree() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Tree::Flag),
        (-10_000_000_000_000_i64..10_000_000_000_000).prop_map(|it| Tree::Number(it as f64)),
        any::<i32>().prop_map(|it| Tree::Number(f64::from(it) / 8.0)),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Tree::Text),
    ];
    leaf.prop_recursive(4, 64, 20, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..20).prop_map(Tree::List),
            prop::collection::btree_map(prop::collection::vec(any::<u8>(), 0..8), inner, 1..20)
                .prop_map(Tree::Entries),
        ]
    })
}

fn to_lua(lua: &Lua, tree: &Tree) -> mlua::Result<Value> {
    Ok(match tree {
        Tree::Flag(flag) => Value::Boolean(*flag),
        Tree::Number(number) => Value::Number(*number),
        Tree::Text(text) => Value::String(lua.create_string(text)?),
        Tree::List(list) => {
            let table = lua.create_table()?;
            for (index, element) in (1..).zip(list) {
                table.raw_set(index, to_lua(lua, element)?)?;
            }
            Value::Table(table)
        }
        Tree::Entries(entries) => {
            let table = lua.create_table()?;
            for (name, value) in entries {
                table.raw_set(lua.create_string(name)?, to_lua(lua, value)?)?;
            }
            Value::Table(table)
        }
    })
}

fn from_lua(value: &Value) -> Tree {
    match value {
        Value::Boolean(flag) => Tree::Flag(*flag),
        Value::Integer(number) => Tree::Number(*number as f64),
        Value::Number(number) => Tree::Number(*number),
        Value::String(text) => Tree::Text(text.as_bytes().to_vec()),
        Value::Table(table) if table.raw_len() > 0 => {
            let elements = (1..=table.raw_len())
                .map(|index| from_lua(&table.raw_get::<Value>(index).expect("it is in the list")));
            Tree::List(elements.collect())
        }
        Value::Table(table) => {
            let entries = table.pairs::<mlua::LuaString, Value>().map(|pair| {
                let (name, value) = pair.expect("names are texts");
                (name.as_bytes().to_vec(), from_lua(&value))
            });
            Tree::Entries(entries.collect())
        }
        other => panic!("nobody wrote {other:?}"),
    }
}

fn lua() -> Lua {
    let lua = Lua::new_with(StdLib::STRING, LuaOptions::new()).expect("it is safe");
    let pause = lua.create_function(|_, ()| Ok(None::<String>)).expect("there is memory");
    lua.set_named_registry_value("pause", pause).expect("there is memory");
    lua
}

fn function(library: &Table, name: &str) -> Function {
    library.raw_get(name).expect("the library has it")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn json_is_read_as_it_was_written(tree in tree()) {
        let lua = lua();
        let library = cjson::library(&lua, MEMORY).expect("there is memory");
        let value = to_lua(&lua, &tree).expect("there is memory");
        let text: mlua::LuaString = function(&library, "encode").call(value).expect("it is JSON");
        let read: Value = function(&library, "decode").call(text).expect("it was just written");
        prop_assert_eq!(from_lua(&read), tree);
    }

    #[test]
    fn packs_are_read_as_they_were_written(trees in prop::collection::vec(tree(), 1..5)) {
        let lua = lua();
        let library = cmsgpack::library(&lua, MEMORY).expect("there is memory");
        let values: MultiValue =
            trees.iter().map(|tree| to_lua(&lua, tree).expect("there is memory")).collect();
        let text: mlua::LuaString = function(&library, "pack").call(values).expect("they fit");
        let read: MultiValue = function(&library, "unpack").call(&text).expect("it is whole");
        prop_assert_eq!(&read.iter().map(from_lua).collect::<Vec<_>>(), &trees);
        // One after the other too.
        let one = function(&library, "unpack_one");
        let mut offset = 0;
        for tree in &trees {
            let (next, value): (i64, Value) = one.call((&text, offset)).expect("it is whole");
            prop_assert_eq!(&from_lua(&value), tree);
            offset = next;
        }
        prop_assert_eq!(offset, -1);
    }

    #[test]
    fn integers_are_laid_out_as_their_format_says(
        number in any::<i32>(), bytes in 4_usize..9, is_big_endian in any::<bool>(),
    ) {
        let lua = lua();
        let library = structs::library(&lua, MEMORY).expect("there is memory");
        let format = format!("{}i{bytes}", if is_big_endian { '>' } else { '<' });
        let packed: mlua::LuaString =
            function(&library, "pack").call((&*format, number)).expect("it fits");
        let all = i64::from(number).to_be_bytes();
        let mut expected = all[8 - bytes..].to_vec();
        if !is_big_endian {
            expected.reverse();
        }
        prop_assert_eq!(&*packed.as_bytes(), &*expected);
        let (read, next): (i64, usize) =
            function(&library, "unpack").call((&*format, packed)).expect("it is whole");
        prop_assert_eq!((read, next), (i64::from(number), bytes + 1));
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        json in "[\\[\\]{}:,\"a1ntf\\\\u .e-]{0,40}",
        format in "[bBhHlLTiIcsfdx0-9!<> ]{0,20}",
    ) {
        let lua = lua();
        let (json_library, pack_library, struct_library) = (
            cjson::library(&lua, MEMORY).expect("there is memory"),
            cmsgpack::library(&lua, MEMORY).expect("there is memory"),
            structs::library(&lua, MEMORY).expect("there is memory"),
        );
        let text = lua.create_string(&bytes).expect("there is memory");
        for (library, name, args) in [
            (&json_library, "decode", vec![Value::String(text.clone())]),
            (&pack_library, "unpack", vec![Value::String(text.clone())]),
        ] {
            let _: mlua::Result<MultiValue> =
                function(library, name).call(MultiValue::from_iter(args));
        }
        let _: mlua::Result<MultiValue> = function(&json_library, "decode").call(json);
        let unpacked: mlua::Result<MultiValue> =
            function(&struct_library, "unpack").call((&*format, text));
        if let Ok(mut values) = unpacked {
            let next = values.pop_back().and_then(|it| it.as_usize()).expect("a position");
            prop_assert!(next <= bytes.len() + 1);
        }
    }
}
