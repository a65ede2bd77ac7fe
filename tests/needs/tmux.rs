//! The prompt in tmux, a terminal that people use: what it shows before Enter.

use crate::common::{LMRUN, Sandbox, eventually};
use crate::need::{TMUX, trial};
use libtest_mimic::Trial;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        trial(screen_keeps_typed_text_and_menu, &[TMUX]),
        trial(notes_are_printed_above_typed_text, &[TMUX]),
    ]
}

/// A tmux server with `lmrun repl` in its only pane; it ends with the test.
struct Tmux {
    socket: PathBuf,
}

impl Tmux {
    fn open(sandbox: &Sandbox) -> Self {
        let tmux = Self {
            socket: sandbox.path("tmux"),
        };
        let [p1, p2] = sandbox.ports.map(|port| port.to_string());
        let folder = sandbox.dir.path().to_str().expect("a path");
        let state = format!("XDG_STATE_HOME={}", sandbox.path("state").display());
        tmux.ask(
            &[
                "-f",
                "/dev/null",
                "new-session",
                "-d",
                "-x",
                "100",
                "-y",
                "30",
                "-c",
                folder,
            ]
            .into_iter()
            .chain(["-e", &state, LMRUN, "repl", "-o", "out", "-p", &p1, &p2])
            .collect::<Vec<_>>(),
        );
        eventually("the prompt", || tmux.screen().ends_with("lmrun>"));
        tmux
    }

    fn ask(&self, args: &[&str]) -> String {
        let output = Command::new("tmux")
            .arg("-S")
            .arg(&self.socket)
            .args(args)
            .output()
            .expect("tmux");
        assert!(
            output.status.success(),
            "{args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The lines of the screen down to the last that is not empty.
    fn screen(&self) -> String {
        self.ask(&["capture-pane", "-p"]).trim_end().to_owned()
    }

    /// The screen half a second after these keys: time enough for two frames of the live screen.
    fn after(&self, keys: &[&str]) -> String {
        self.ask(&[&["send-keys"], keys].concat());
        std::thread::sleep(Duration::from_millis(500));
        self.screen()
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        // The engines that its lmrun started end with it.
        let _ = Command::new("tmux")
            .arg("-S")
            .arg(&self.socket)
            .arg("kill-server")
            .output();
    }
}

fn screen_keeps_typed_text_and_menu() {
    let sandbox = Sandbox::new();
    let tmux = Tmux::open(&sandbox);
    let screen = tmux.after(&["let x = 4"]);
    assert!(screen.ends_with("\nlmrun> let x = 4"), "{screen}");
    tmux.after(&["C-c"]);
    let screen = tmux.after(&["sim::engine(#{ ", "Tab"]);
    assert!(
        screen.contains("lmrun> sim::engine(#{") && screen.contains("prefix_caching"),
        "{screen}"
    );
    assert!(screen.ends_with("10 of 19; Tab for the next"), "{screen}");
}

fn notes_are_printed_above_typed_text() {
    let sandbox = Sandbox::new();
    let tmux = Tmux::open(&sandbox);
    tmux.after(&[
        r#"start(sim::engine(#{ name: "plain", startup_s: 2 }))"#,
        "Enter",
    ]);
    eventually("the engine starts", || tmux.screen().ends_with("\nlmrun>"));
    tmux.after(&["let typed = 4"]);
    eventually("the engine is ready", || {
        tmux.screen().contains("\n  plain: ready after ")
    });
    let screen = tmux.after(&["2"]);
    assert!(screen.ends_with("\nlmrun> let typed = 42"), "{screen}");
    drop(tmux);
    eventually("nothing is left", || sandbox.left_running().is_empty());
}
