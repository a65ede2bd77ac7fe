//! Agents: a task, then steps whose tool results make the history grow; some go on in branches.

use super::seed::seed_of;
use super::text::{Message, Part};
use super::{After, ConfigError, Generate, Plan, Request, limits};
use crate::core::Seconds;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The config of the AGENT workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Agent {
    /// Number of agents, which start at the request rate.
    pub agents: u64,
    /// Number of steps of each agent, including the task; with branches, of each branch.
    pub steps: u64,
    /// Tokens of the shared system prompt with the tools.
    pub system_len: u64,
    /// Tokens of the task.
    pub query_len: u64,
    /// Tokens of each result of a tool.
    pub tool_len: u64,
    /// Duration of a call of a tool, in seconds.
    pub tool_s: Seconds,
    /// Number of branches that continue from the same history; 1 for none.
    pub branches: u64,
    /// Last step that all branches share, counted from 1.
    pub branch_at: u64,
}

impl Default for Agent {
    fn default() -> Self {
        Self {
            agents: 4,
            steps: 6,
            system_len: 2048,
            query_len: 64,
            tool_len: 512,
            tool_s: Seconds(0.5),
            branches: 1,
            branch_at: 1,
        }
    }
}

impl Generate for Agent {
    fn check(&self) -> Result<(), ConfigError> {
        limits::counts(&[
            ("agents", self.agents),
            ("steps", self.steps),
            ("branches", self.branches),
        ])?;
        limits::tokens(&[
            ("system_len", self.system_len),
            ("query_len", self.query_len),
            ("tool_len", self.tool_len),
        ])?;
        let is_no_step = self.branch_at == 0 || self.branch_at > self.steps;
        ConfigError::first(&[(is_no_step, "branch_at", "must be a step, from 1 to `steps`")])
    }

    fn own_count(&self) -> Option<(&'static str, u64)> {
        Some(("`agents`, `steps` and `branches`", self.agents))
    }

    fn count(&self, arrivals: u64) -> u64 {
        let branched = self.branches * (self.steps - self.branch_at);
        arrivals.saturating_mul(self.branch_at + branched)
    }

    fn generate(&self, plan: &mut Plan) {
        for agent in 0..plan.count {
            let mut last = None;
            for step in 0..self.branch_at {
                last = Some(self.step(plan, agent, step, last));
            }
            for _ in 0..self.branches {
                let mut last = last;
                for step in self.branch_at..self.steps {
                    last = Some(self.step(plan, agent, step, last));
                }
            }
        }
    }

    fn title(&self) -> String {
        let branches = if self.branches > 1 {
            format!(" in {} branches", self.branches)
        } else {
            String::new()
        };
        format!(
            "{} agents of {} steps{branches}, {} tokens a tool",
            self.agents, self.steps, self.tool_len
        )
    }
}

impl Agent {
    /// Adds a step behind the request `before`; returns which request it is.
    fn step(&self, plan: &mut Plan, agent: u64, step: u64, before: Option<usize>) -> usize {
        let number = plan.requests.len();
        let system = Part::Words {
            seed: seed_of(plan.seed, "system", 0),
            tokens: self.system_len,
        };
        // Chat templates differ in the role of a tool's result; all know the user's.
        let (messages, context_len, query_len) = if before.is_none() {
            let task = Message::user(vec![plan.query(number as u64, self.query_len)]);
            (
                vec![Message::system(vec![system]), task],
                self.system_len,
                self.query_len,
            )
        } else {
            let result = vec![
                Part::Literal("Tool result:".into()),
                plan.query(number as u64, self.tool_len),
            ];
            (vec![Message::user(result)], 0, self.tool_len)
        };
        plan.requests.push(Request {
            timestamp: before.is_none().then_some(0.0),
            after: before.map(|request| After {
                request,
                wait_s: self.tool_s.0,
                continues: true,
            }),
            session: agent,
            turn: step,
            context_len,
            query_len,
            messages,
            ..Request::default()
        });
        number
    }
}
