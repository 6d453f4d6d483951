//! The findings of `kubectl reboots check` and `uninstall-check`, read from their JSON.

use std::process::Output;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::tools;

/// The answer to one of the two.
#[derive(Debug)]
pub struct Findings {
    /// The status that it ended with.
    code: Option<i32>,
    found: Vec<Value>,
}

impl Findings {
    /// Reads the output with `--output=json`.
    pub fn read(output: &Output) -> Result<Self> {
        let answer: Value = serde_json::from_slice(&output.stdout)
            .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())
            .context("no JSON was printed")?;
        let found = answer.get("findings").cloned().context("no findings")?;
        let found: Vec<Value> = serde_json::from_value(found)?;
        for finding in &found {
            let (code, runbook) = (finding["code"].as_str(), finding["runbook"].as_str());
            let code = code.with_context(|| format!("no code: {finding}"))?;
            let (page, anchor) = runbook.and_then(|it| it.split_once('#')).context("no runbook")?;
            ensure!(anchor == code.to_lowercase(), "another runbook: {finding}");
            let page = std::fs::read_to_string(tools::repository().join(page))?;
            ensure!(page.contains(&format!("\n### {code}\n")), "no section: {finding}");
        }
        Ok(Self {
            code: output.status.code(),
            found,
        })
    }

    /// No problem; warnings there may be.
    pub fn no_problem(&self) -> Result<()> {
        ensure!(self.code == Some(0), "{:?}: {:#?}", self.code, self.found);
        Ok(())
    }

    /// No problem and no warning, but for what the machines of a test have of their own.
    pub fn in_order(&self) -> Result<()> {
        let is_bad = |it: &&Value| it["severity"] != "ok" && it["code"] != "UnitsFailed";
        let bad: Vec<&Value> = self.found.iter().filter(is_bad).collect();
        ensure!(self.code == Some(0) && bad.is_empty(), "{:?}: {bad:#?}", self.code);
        Ok(())
    }

    /// Whether any finding, however severe, says this.
    pub fn says(&self, part: &str) -> Result<()> {
        let says = self.found.iter().any(|it| line(it).contains(part));
        ensure!(says, "nothing says `{part}`: {:#?}", self.found);
        Ok(())
    }

    /// Whether any finding, however severe, has this code.
    pub fn has(&self, code: &str) -> Result<()> {
        let has = self.found.iter().any(|it| it["code"] == code);
        ensure!(has, "no finding is {code}: {:#?}", self.found);
        Ok(())
    }

    /// The remedy of the problem in whose line this is; the command has failed because of it.
    pub fn remedy(&self, part: &str) -> Result<String> {
        let mut problems = self.found.iter().filter(|it| it["severity"] == "problem");
        let problem = problems.find(|it| line(it).contains(part));
        let problem = problem.with_context(|| format!("no problem with `{part}`: {:#?}", self.found))?;
        ensure!(self.code == Some(1), "{:?} despite {problem}", self.code);
        let remedy = problem["remedy"].as_str().filter(|it| !it.is_empty());
        Ok(remedy.with_context(|| format!("no remedy: {problem}"))?.to_owned())
    }
}

/// Subject and finding, as an operator reads them.
fn line(finding: &Value) -> String {
    let text = |key: &str| finding[key].as_str().unwrap_or_default();
    format!("{}: {}", text("subject"), text("found"))
}
