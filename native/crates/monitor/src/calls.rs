//! From a request to the function that carries it out.

use crate::reply::{Answer, Asker, failure};
use crate::server::Monitor;
use podwright_protocol::VERSION;
use podwright_protocol::message::failure::Kind;
use podwright_protocol::message::{Hello, HelloReply, Request, State, request::Call, response};
use podwright_sys::errno::SysResult;

impl Monitor {
    /// Carries out a request. An answer that is known at once is sent at once; the others follow.
    pub(crate) fn call(&mut self, asker: Asker, request: Request) -> SysResult<()> {
        let Some(call) = request.call else {
            let text = "this monitor does not know the call";
            return self.answer(asker, Err(failure(Kind::Unsupported, "call", "", text)));
        };
        if !self.has_greeted(asker.connection) && !matches!(call, Call::Hello(_) | Call::OpenStream(_)) {
            let text = "the first request of a connection is hello";
            return self.answer(asker, Err(failure(Kind::FailedPrecondition, "call", "", text)));
        }
        let answer = match call {
            Call::Hello(hello) => self.hello(asker, &hello),
            Call::CreateSandbox(request) => self.create_sandbox(request),
            Call::SignalContainer(request) => self.signal_container(&request),
            Call::GetState(_) => Ok(response::Result::State(self.state())),
            Call::CreateContainer(request) => return self.create_container(asker, request),
            Call::StartContainer(request) => return self.start_container(asker, &request.container_id),
            Call::StopContainer(request) => return self.stop_container(asker, &request),
            Call::RemoveContainer(request) => return self.remove_container(asker, &request.container_id),
            Call::ReopenLog(request) => return self.reopen_log(asker, &request.container_id),
            Call::ExecSync(request) => return self.exec_sync(asker, &request),
            Call::CancelExec(request) => self.cancel_exec(&request.exec_id)?,
            Call::Shutdown(_) => return self.shutdown(Some(asker)),
            Call::Exec(request) => return self.exec(asker, &request),
            Call::WaitExec(request) => return self.wait_exec(asker, &request),
            Call::Resize(request) => self.resize(&request),
            Call::OpenStream(request) => return self.open_stream(asker, &request),
            Call::Attach(request) => self.attach(asker, &request)?,
            Call::Checkpoint(request) => return self.checkpoint(asker, request),
            Call::CancelCheckpoint(_) => self.cancel_checkpoint()?,
            Call::LoadCheckpoint(request) => return self.load_checkpoint(asker, &request),
        };
        self.answer(asker, answer)
    }

    fn hello(&mut self, asker: Asker, hello: &Hello) -> Answer {
        if hello.version == 0 {
            return Err(failure(Kind::Invalid, "hello", "version", "protocol version 0 does not exist"));
        }
        self.greet(asker.connection);
        let pid = rustix::process::getpid().as_raw_pid();
        Ok(response::Result::Hello(HelloReply {
            version: hello.version.min(VERSION),
            monitor_version: env!("CARGO_PKG_VERSION").into(),
            pid,
            start_time: crate::clock::start_time(pid),
            state: Some(self.state()),
        }))
    }

    fn state(&self) -> State {
        State {
            sandbox_id: self.id.clone(),
            sandbox_created: self.sandbox.is_some(),
            pause_pid: self.sandbox.as_ref().map_or(0, |s| s.pause_pid()),
            containers: self.containers.values().filter(|c| !c.id.is_empty()).map(|c| c.fact()).collect(),
        }
    }
}
