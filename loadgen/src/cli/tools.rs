//! What is done with runs: `compare`, `merge`, `show`; and `floors`.

use super::run::parse_conditions;
use super::{CompareArgs, FloorsArgs, MergeArgs, ShowArgs, exit};
use crate::output::{complain, create, print};
use crate::report::{Report, files, html, terminal};
use crate::{compare, floors, merge};

/// Two groups of runs side by side.
pub fn side_by_side(args: &CompareArgs) -> Result<u8, String> {
    let conditions = parse_conditions(&args.fail_if)?;
    let (a, b) = (compare::read_runs(&args.a)?, compare::read_runs(&args.b)?);
    let rows = compare::rows(&a, &b);
    if let Some(path) = &args.html {
        files::append(&mut create(path, args.force)?, &html::compare(&a, &b, &rows))?;
    }
    if args.json {
        let figures: Vec<_> = rows
            .iter()
            .map(|row| {
                serde_json::json!({"figure": row.name, "a": row.a, "b": row.b, "ratio": row.ratio,
                    "interval": [row.interval.0, row.interval.1], "p": row.p_value, "differs": row.differs()})
            })
            .collect();
        print(&serde_json::to_string_pretty(&figures).map_err(|error| error.to_string())?);
    } else {
        print(&compare::render(&a, &b, &rows));
    }
    let mut code = exit::OK;
    for condition in &conditions {
        let row = compare::row(&condition.text, &condition.subject, &a, &b)
            .ok_or_else(|| format!("--fail-if \"{}\": not every run has that figure", condition.text))?;
        if row.holds(condition) {
            complain(&format!("--fail-if {} holds: {:+.1} %", condition.text, (row.ratio - 1.0) * 100.0));
            code = exit::CONDITION;
        }
    }
    Ok(code)
}

/// One report from several.
pub fn merged(args: &MergeArgs) -> Result<u8, String> {
    let runs: Vec<Vec<Report>> =
        args.runs.iter().map(|run| compare::read_runs(run)).collect::<Result<_, _>>()?;
    let report = merge::merge(&runs.concat())?;
    let json = serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?;
    files::append(&mut create(&args.json, args.force)?, &json)?;
    print(&terminal::render(&report));
    Ok(exit::OK)
}

/// A report again.
pub fn show(args: &ShowArgs) -> Result<u8, String> {
    let mut runs = compare::read_runs(&args.run)?;
    let report = runs.swap_remove(0);
    if let Some(path) = &args.html {
        files::append(&mut create(path, args.force)?, &html::render(&report))?;
    }
    print(&terminal::render(&report));
    Ok(exit::OK)
}

/// The limits of this machine.
pub fn floor(args: &FloorsArgs) -> Result<u8, String> {
    let floors = floors::measure(args.duration)?;
    print(&if args.json {
        serde_json::to_string_pretty(&floors).map_err(|error| error.to_string())?
    } else {
        floors::render(&floors)
    });
    Ok(exit::OK)
}
