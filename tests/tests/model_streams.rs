//! Streams against maps: random commands over few keys, with groups, waiting readers and time
//! passing; every reply is what the plainest model says.

#[path = "model_streams/apply.rs"]
mod apply;
#[path = "model_streams/model.rs"]
mod model;
#[path = "model_streams/ops.rs"]
mod ops;
#[path = "model_streams/words.rs"]
mod words;

use orrery_engine::{Config, ConnId, Seed};
use orrery_tests::resp_value::{Value, encode};
use orrery_tests::server_in_process::Server;
use proptest::prelude::*;

use model::Model;
use ops::{Op, op};

/// Clients that may wait at the same time.
const WAITING_MAX: usize = 3;

struct World {
    server: Server,
    main: ConnId,
    idle: Vec<ConnId>,
    model: Model,
}

impl World {
    fn new(node_entries: usize) -> Self {
        let mut server = Server::new(Config::default(), Seed(1));
        let main = server.connect();
        let idle = (0..WAITING_MAX).map(|_| server.connect()).collect();
        let model = Model::new(server.unix_ms(), node_entries);
        let limit = node_entries.to_string();
        let words = ["CONFIG", "SET", "stream-node-max-entries", &limit];
        assert_eq!(server.call(main, &words), Value::simple("OK"));
        // Blocks end by number alone, which is what the model knows.
        let words = ["CONFIG", "SET", "stream-node-max-bytes", "0"];
        assert_eq!(server.call(main, &words), Value::simple("OK"));
        Self { server, main, idle, model }
    }

    fn run(&mut self, op: &Op) {
        match op {
            Op::Wait(millis) => {
                self.server.advance_ms(*millis);
                let replies = self.model.pass(*millis);
                self.expect(op, &replies);
            }
            Op::Limit(entries) => {
                self.model.node_entries = *entries;
                let words = ["CONFIG", "SET", "stream-node-max-entries", &entries.to_string()];
                assert_eq!(self.server.call(self.main, &words), Value::simple("OK"));
            }
            Op::Block(reading) => {
                let Some(conn) = self.idle.pop() else { return };
                let words = self.model.words_of(op);
                let got = self.server.send(conn, &encode(&words));
                match self.model.begin(conn, reading) {
                    Some(expected) => {
                        assert_eq!(Value::read_all(&got), [expected], "{words:?}");
                        self.idle.push(conn);
                    }
                    None => assert!(got.is_empty(), "{words:?} gives {}", got.escape_ascii()),
                }
                // Reading may have changed what others wait for.
                let replies = self.model.serve();
                self.expect(op, &replies);
            }
            _ => {
                let words = self.model.words_of(op);
                let shown: Vec<_> = words.iter().map(|it| String::from_utf8_lossy(it)).collect();
                let got = self.server.send(self.main, &encode(&words));
                let expected = self.model.apply(op);
                assert_eq!(Value::read_all(&got), [expected], "{shown:?}");
                let replies = self.model.serve();
                self.expect(op, &replies);
            }
        }
        self.server.engine().check_invariants();
    }

    /// Exactly these waiting clients have got their replies.
    fn expect(&mut self, op: &Op, replies: &[(ConnId, Value)]) {
        for (conn, reply) in replies {
            let got = self.server.output(*conn);
            assert_eq!(Value::read_all(&got), std::slice::from_ref(reply), "{op:?}");
            self.idle.push(*conn);
        }
        for waiter in &self.model.waiting {
            let got = self.server.output(waiter.conn);
            assert!(got.is_empty(), "{op:?} wakes {waiter:?}: {}", got.escape_ascii());
        }
    }

    /// Everything that can be seen of all streams is as the model says.
    fn compare_all(&mut self) {
        for op in self.model.questions() {
            self.run(&op);
        }
    }
}

proptest! {
    #[test]
    fn streams_behave_like_maps(
        ops in prop::collection::vec(op(), 1..150),
        node_entries in 1..6_usize,
    ) {
        let mut world = World::new(node_entries);
        for op in &ops {
            world.run(op);
        }
        world.compare_all();
    }
}
