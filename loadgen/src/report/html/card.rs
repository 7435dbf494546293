//! The capacity card as a page.

use std::fmt::{Result, Write};

use super::plots::figure;
use super::{Tile, milliseconds, page, write_conditions, write_tiles};
use crate::capacity::{Card, Trial};
use crate::report::svg::{Axis, Line, Plot, escape};

/// The page of a search.
pub fn card(card: &Card) -> String {
    let title = format!("Capacity of {}", card.scenario);
    page(&format!("{title} · AnonCam load"), |out| {
        let (target, end) = (escape(&card.target), escape(&card.end));
        write!(out, "<h1>{title}</h1><p class=\"sub\">against {target} · {end}</p>")?;
        write_verdict(out, card)?;
        write_tiles(out, &tiles(card))?;
        write!(out, "<div class=\"plots\">")?;
        for plot in plots(card, &bound_name(card)) {
            figure(out, &plot)?;
        }
        write!(out, "</div>")?;
        write_trials(out, card)?;
        write_conditions(out, &card.built, &card.machine, card.server_program.as_ref(), &card.options)
    })
}

fn bound_name(card: &Card) -> String {
    format!("bound {} ms", milliseconds(card.bound_us))
}

fn write_verdict(out: &mut String, card: &Card) -> Result {
    let bound = milliseconds(card.bound_us);
    if card.end != "completed" {
        let end = escape(&card.end);
        return write!(
            out,
            "<div class=\"verdict unsound\"><p><b>Ended early ({end}).</b> The search was not through: the capacity is \
             at least what has held so far.</p></div>"
        );
    }
    if card.generator_limited {
        return write!(
            out,
            "<div class=\"verdict unsound\"><p><b>The generator was the limit.</b> A higher rate failed for its own \
             reasons: the server's capacity is at least this.</p></div>"
        );
    }
    write!(
        out,
        "<div class=\"verdict\"><p><b>Found.</b> Up to this rate p99 stayed under {bound} ms; at the next higher rate that \
         was tried it did not, twice.</p></div>"
    )
}

fn tiles(card: &Card) -> Vec<Tile> {
    let mut tiles = vec![(format!("{:.0}", card.rate), "/s", "the highest rate that held".to_string())];
    let Some(best) = card.best() else { return tiles };
    for (us, name) in [(best.p50_us, "p50"), (best.latency_us, "p99"), (best.p999_us, "p99.9")] {
        if let Some(us) = us {
            tiles.push((milliseconds(us), "ms", format!("{name} at that rate")));
        }
    }
    if let Some(cpus) = best.server_cpus {
        tiles.push((format!("{cpus:.2}"), "CPUs", "used by the server at that rate".into()));
        tiles.push((
            format!("{:.0}", cpus * 1e6 / best.achieved.max(1.0)),
            "us",
            "server CPU an arrival".into(),
        ));
    }
    tiles.push((format!("{:.2}", best.own_cpus), "CPUs", "used by the generator".into()));
    tiles
}

fn plots<'a>(card: &Card, bound: &'a str) -> Vec<Plot<'a>> {
    // A rate that was tried twice was judged by the second run.
    let mut trials: Vec<&Trial> = card.trials.iter().rev().collect();
    trials.sort_by(|a, b| a.rate.total_cmp(&b.rate));
    trials.dedup_by(|a, b| a.rate.total_cmp(&b.rate).is_eq());
    let series = |value: &dyn Fn(&Trial) -> Option<f64>| -> Vec<(f64, f64)> {
        trials.iter().filter_map(|trial| Some((trial.rate, value(trial)?))).collect()
    };
    let ms = |us: Option<u64>| us.map(|us| us as f64 / 1000.0);
    let latency = Plot {
        title: "Latency by rate",
        x_label: "arrivals a second",
        y_label: "ms",
        lines: vec![
            Line::solid("p50", series(&|trial| ms(trial.p50_us))),
            Line::solid("p99", series(&|trial| ms(trial.latency_us))),
        ],
        x: Axis::Log,
        y: Axis::Log,
        level: Some((card.bound_us as f64 / 1000.0, bound)),
        ..Plot::default()
    };
    let cpus = Plot {
        title: "CPU by rate",
        x_label: "arrivals a second",
        y_label: "CPUs",
        lines: vec![
            Line::solid("server", series(&|trial| trial.server_cpus)),
            Line::dashed("generator", series(&|trial| Some(trial.own_cpus))),
        ],
        x: Axis::Log,
        ..Plot::default()
    };
    vec![latency, cpus]
}

fn write_trials(out: &mut String, card: &Card) -> Result {
    write!(
        out,
        "<h2>Runs, in order</h2><div class=\"scroll\"><table><thead><tr><th>rate/s</th><th>achieved/s</th><th>p50 \
         ms</th><th>p99 ms</th><th>p99.9 ms</th><th>server CPUs</th><th>own CPUs</th><th class=\"text\">verdict</th></tr></thead><tbody>"
    )?;
    let ms = |us: Option<u64>| us.map_or("-".into(), |us| format!("{:.3}", us as f64 / 1000.0));
    for trial in &card.trials {
        let cpus = trial.server_cpus.map_or("-".into(), |cpus| format!("{cpus:.2}"));
        let verdict = if trial.held { "held" } else { &trial.why };
        write!(
            out,
            "<tr><th>{:.0}</th><td>{:.0}</td><td>{}</td><td>{}</td><td>{}</td><td>{cpus}</td><td>{:.2}</td>\
             <td class=\"text\">{}</td></tr>",
            trial.rate,
            trial.achieved,
            ms(trial.p50_us),
            ms(trial.latency_us),
            ms(trial.p999_us),
            trial.own_cpus,
            escape(verdict)
        )?;
    }
    write!(out, "</tbody></table></div>")
}
