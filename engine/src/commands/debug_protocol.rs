//! DEBUG PROTOCOL: one example of each type of reply, for tests of clients.

use super::Cx;
use crate::args::Args;
use crate::error::Error;
use crate::resp::Protocol;

/// Replies with the example whose name is word 2.
pub(super) fn protocol(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let Some((_, write)) = EXAMPLES.iter().find(|(name, _)| args.is(2, name)) else {
        return Err(Error::fixed(
            "ERR Wrong protocol type name. Please use one of the following: \
             string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false",
        ));
    };
    write(cx)
}

/// Redis's example of a double.
#[expect(clippy::approx_constant, reason = "what it is close to does not matter")]
const EXAMPLE: f64 = 3.141;

type Example = (&'static str, fn(&mut Cx<'_>) -> Result<(), Error>);

const EXAMPLES: [Example; 13] = [
    ("STRING", |cx| {
        cx.reply.text("Hello World");
        Ok(())
    }),
    ("INTEGER", |cx| {
        cx.reply.integer(12_345);
        Ok(())
    }),
    ("DOUBLE", |cx| {
        cx.reply.double(EXAMPLE);
        Ok(())
    }),
    ("BIGNUM", big_number),
    ("NULL", |cx| {
        cx.reply.null();
        Ok(())
    }),
    ("ARRAY", |cx| {
        cx.reply.array(3);
        (0..3).for_each(|value| cx.reply.integer(value));
        Ok(())
    }),
    ("SET", |cx| {
        cx.reply.set(3);
        (0..3).for_each(|value| cx.reply.integer(value));
        Ok(())
    }),
    ("MAP", |cx| {
        cx.reply.map(3);
        for value in 0..3 {
            cx.reply.integer(value);
            cx.reply.boolean(value == 1);
        }
        Ok(())
    }),
    ("ATTRIB", attribute),
    ("PUSH", push),
    ("VERBATIM", |cx| {
        cx.reply.verbatim("txt", "This is a verbatim\nstring");
        Ok(())
    }),
    ("TRUE", |cx| {
        cx.reply.boolean(true);
        Ok(())
    }),
    ("FALSE", |cx| {
        cx.reply.boolean(false);
        Ok(())
    }),
];

/// No command replies with a big number or an attribute, so the writer does not know them.
fn big_number(cx: &mut Cx<'_>) -> Result<(), Error> {
    const NUMBER: &str = "1234567999999999999999999999999999999";
    match cx.reply.protocol {
        Protocol::Resp2 => cx.reply.text(NUMBER),
        Protocol::Resp3 => cx.reply.out.extend_from_slice(format!("({NUMBER}\r\n").as_bytes()),
    }
    Ok(())
}

fn attribute(cx: &mut Cx<'_>) -> Result<(), Error> {
    if cx.reply.protocol == Protocol::Resp3 {
        cx.reply.out.extend_from_slice(b"|1\r\n");
        cx.reply.text("key-popularity");
        cx.reply.array(2);
        cx.reply.text("key:123");
        cx.reply.integer(90);
    }
    cx.reply.text("Some real reply following the attribute");
    Ok(())
}

fn push(cx: &mut Cx<'_>) -> Result<(), Error> {
    if cx.reply.protocol == Protocol::Resp2 {
        return Err(Error::fixed("ERR RESP2 is not supported by this command"));
    }
    cx.reply.push(2);
    cx.reply.text("server-cpu-usage");
    cx.reply.integer(42);
    cx.reply.text("Some real reply following the push reply");
    Ok(())
}
