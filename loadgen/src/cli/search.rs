//! `capacity`: many runs, and the card.

use std::fs::File;
use std::path::Path;

use super::run::{parse_conditions, plan, with_preset};
use super::{CapacityArgs, exit};
use crate::capacity::{self, Card, Goal};
use crate::condition::{Condition, Subject};
use crate::options::Options;
use crate::output::{Output, complain, create, create_directory, on_interrupt, print};
use crate::report::{files, html};
use crate::run;
use crate::settings::Kind;

/// Searches the highest rate, and writes the card.
pub fn search(args: CapacityArgs) -> Result<u8, String> {
    let kind = args.scenario;
    if !(0.1..=100.0).contains(&args.within) {
        return Err("--within must be from 0.1 to 100 per cent".into());
    }
    let mut options = with_preset(kind, args.run)?;
    options.closed = None;
    options.steps = None;
    options.ramp = None;
    if matches!(kind, Kind::Idle | Kind::Churn) {
        return Err(format!("{} has no rate that could be searched", kind.name()));
    }
    let given =
        [options.json.is_some(), options.jsonl.is_some(), options.hgrm.is_some(), options.start_at.is_some()];
    if given.contains(&true) {
        return Err("capacity writes its card to --card, and everything of its runs to --out: --json, --jsonl, --hgrm \
                    and --start-at are for a single run"
            .into());
    }
    let conditions = parse_conditions(options.fail_if.as_deref().unwrap_or_default())?;
    if let Some(other) = conditions.iter().find(|condition| condition.subject != Subject::Rate) {
        return Err(format!(
            "--fail-if \"{}\": of a search only the rate can be judged, as rate<5000",
            other.text
        ));
    }
    let force = options.force.unwrap_or(false);
    let card_file = args.card.as_ref().map(|path| create(path, force)).transpose()?;
    let out = options.out.take();
    if let Some(directory) = &out {
        create_directory(directory, force)?;
    }
    on_interrupt();
    let goal = Goal {
        start: options.rate.unwrap_or(100.0),
        bound_us: args.bound.as_nanos() / 1000,
        within: args.within / 100.0,
    };
    let mut number = 0;
    let card = capacity::search(kind.name(), goal, |rate| {
        number += 1;
        complain(&format!("trying {rate:.0}/s"));
        let plan = plan(kind, &Options { rate: Some(rate), ..options.clone() })?;
        let directory = out.as_ref().map(|out| out.join(format!("trial-{number:02}")));
        let mut output = Output::part(&plan, directory.as_deref())?;
        let report = run::run(plan, &mut output)?;
        output.finish(&report)?;
        Ok(report)
    })?;
    write_card(&card, card_file, out.as_deref())?;
    print(&capacity::render(&card));
    let beyond = |condition: &&Condition| {
        if condition.above { card.rate > condition.bound } else { card.rate < condition.bound }
    };
    let missed = conditions.iter().find(beyond);
    if let Some(condition) = missed {
        complain(&format!("--fail-if {} holds", condition.text));
    }
    Ok(match card.end.as_str() {
        "completed" if missed.is_some() => exit::CONDITION,
        "completed" if card.rate > 0.0 => exit::OK,
        "interrupted" => exit::INTERRUPTED,
        _ => exit::FAILED,
    })
}

fn write_card(card: &Card, file: Option<File>, out: Option<&Path>) -> Result<(), String> {
    let json = serde_json::to_string_pretty(card).map_err(|error| error.to_string())?;
    if let Some(mut file) = file {
        files::append(&mut file, &json)?;
    }
    for (name, text) in [("card.json", json), ("card.html", html::card(card))] {
        if let Some(out) = out {
            let path = out.join(name);
            std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        }
    }
    Ok(())
}
