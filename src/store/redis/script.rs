//! Lua scripts, and their invocations.

use redis::{Cmd, ToRedisArgs};

/// A script, which a server knows by its hash once it has executed it.
pub(super) struct LuaScript(redis::Script, &'static str);

impl LuaScript {
    /// Builds the script of a text.
    pub(super) fn new(text: &'static str) -> Self {
        Self(redis::Script::new(text), text)
    }

    /// Begins an invocation with its first key.
    pub(super) fn key(&self, key: impl Into<String>) -> ScriptCall<'_> {
        ScriptCall {
            script: self,
            keys: vec![key.into()],
            args: Vec::new(),
        }
    }
}

/// One invocation of a script. All its keys lie in one slot.
pub(super) struct ScriptCall<'a> {
    script: &'a LuaScript,
    keys: Vec<String>,
    args: Vec<Vec<u8>>,
}

impl ScriptCall<'_> {
    /// Adds a key.
    pub(super) fn key(&mut self, key: impl Into<String>) -> &mut Self {
        self.keys.push(key.into());
        self
    }

    /// Adds an argument.
    pub(super) fn arg(&mut self, arg: impl ToRedisArgs) -> &mut Self {
        arg.write_redis_args(&mut self.args);
        self
    }

    /// Returns the first key, which determines the slot.
    pub(super) fn first_key(&self) -> &str {
        &self.keys[0]
    }

    /// Returns the command that names the script by its hash.
    pub(super) fn by_hash(&self) -> Cmd {
        let mut command = redis::cmd("EVALSHA");
        command.arg(self.script.0.get_hash());
        self.complete(command)
    }

    /// Returns the command that carries the text of the script, which the server then knows.
    pub(super) fn by_text(&self) -> Cmd {
        let mut command = redis::cmd("EVAL");
        command.arg(self.script.1);
        self.complete(command)
    }

    fn complete(&self, mut command: Cmd) -> Cmd {
        command.arg(self.keys.len()).arg(&self.keys);
        for arg in &self.args {
            command.arg(arg.as_slice());
        }
        command
    }
}
