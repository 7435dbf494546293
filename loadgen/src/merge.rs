//! One report from those of several machines (or threads of work) that loaded the server at the same time.
//!
//! Counts and rates add up, histograms are added value by value (percentiles are never averaged), intervals are added
//! second by second.

use std::collections::BTreeMap;

use crate::report::{Health, Interval, Latency, Phase, Report, Stage, Used};
use crate::stats::recorder::Views;

/// Merges reports of one scenario.
pub fn merge(reports: &[Report]) -> Result<Report, String> {
    let first = reports.first().ok_or("nothing to merge")?;
    if let Some(other) = reports.iter().find(|report| report.scenario != first.scenario) {
        return Err(format!("{} and {} cannot be merged", first.scenario.name(), other.scenario.name()));
    }
    let phases = |of: fn(&Report) -> &Phase| merge_phases(&reports.iter().map(of).collect::<Vec<_>>());
    let ended: Vec<&str> =
        reports.iter().map(|report| report.end.as_str()).filter(|end| *end != "completed").collect();
    Ok(Report {
        end: if ended.is_empty() { "completed".into() } else { ended.join("; ") },
        health: merge_health(reports),
        opening: phases(|report| &report.opening)?,
        measured: phases(|report| &report.measured)?,
        stages: merge_stages(reports),
        intervals: merge_intervals(reports),
        profile: reports.iter().find_map(|report| report.profile.clone()),
        ..first.clone()
    })
}

fn merge_health(reports: &[Report]) -> Health {
    let mut health = Health { sound: reports.iter().all(|report| report.health.sound), ..Health::default() };
    for (index, report) in reports.iter().enumerate() {
        let named = |text: &String| format!("generator {}: {text}", index + 1);
        health.findings.extend(report.health.findings.iter().map(named));
        health.remarks.extend(report.health.remarks.iter().map(named));
    }
    let starts = reports.iter().map(|report| report.started_unix_s);
    let (least, most) = (starts.clone().fold(f64::INFINITY, f64::min), starts.fold(0.0, f64::max));
    if most - least > 1.0 {
        health.remarks.push(format!("the generators started {:.1} s apart: use --start-at", most - least));
    }
    health
}

fn merge_phases(phases: &[&Phase]) -> Result<Phase, String> {
    let mut merged = Phase::default();
    let mut views: BTreeMap<_, Views> = BTreeMap::new();
    for phase in phases {
        merged.seconds = merged.seconds.max(phase.seconds);
        merged.target_rate += phase.target_rate;
        merged.achieved_rate += phase.achieved_rate;
        merged.busy = merged.busy.max(phase.busy);
        for (count, value) in &phase.counts {
            *merged.counts.entry(*count).or_default() += value;
        }
        for (reason, value) in &phase.failures {
            *merged.failures.entry(reason.clone()).or_default() += value;
        }
        for (metric, latency) in &phase.latencies {
            let (corrected, uncorrected) = (latency.corrected.histogram()?, latency.uncorrected.histogram()?);
            views.entry(*metric).or_default().add(&Views { corrected, uncorrected });
        }
        merged.own = add(merged.own, phase.own);
        merged.traffic = merged.traffic + phase.traffic;
        // What is another program to one generator is mostly the other generator, if they share a machine.
        merged.other_cpus = merged.other_cpus.max(phase.other_cpus);
        merged.stolen_cpus = merged.stolen_cpus.max(phase.stolen_cpus);
        // All watched the same server: the first that did is as good as any.
        merged.server = merged.server.or(phase.server);
    }
    merged.latencies = views.iter().map(|(metric, views)| (*metric, Latency::of(views))).collect();
    Ok(merged)
}

fn add(a: Used, b: Used) -> Used {
    Used {
        cpu_s: a.cpu_s + b.cpu_s,
        rss_before_bytes: a.rss_before_bytes + b.rss_before_bytes,
        rss_after_bytes: a.rss_after_bytes + b.rss_after_bytes,
        context_switches: a.context_switches + b.context_switches,
        threads: a.threads + b.threads,
    }
}

/// Stages add up one by one. All watched the same server, so what it used is counted once and shared by all sessions.
fn merge_stages(reports: &[Report]) -> Vec<Stage> {
    let count = reports.iter().map(|report| report.stages.len()).min().unwrap_or(0);
    (0..count)
        .map(|index| {
            let parts = || reports.iter().map(|report| &report.stages[index]);
            let sum = |of: fn(&Stage) -> u64| parts().map(of).sum::<u64>();
            let most = |of: &dyn Fn(&Stage) -> f64| parts().map(of).fold(0.0, f64::max);
            let (sessions, opened) = (sum(|stage| stage.sessions), sum(|stage| stage.opened));
            let open_us = most(&|stage| stage.server_cpu_us_per_open * stage.opened as f64);
            let held_us = most(&|stage| stage.server_cpu_us_per_session_second * stage.sessions as f64);
            Stage {
                sessions,
                opened,
                open_s: most(&|stage| stage.open_s),
                server_rss_bytes: parts().map(|stage| stage.server_rss_bytes).max().unwrap_or(0),
                server_cpu_us_per_open: open_us / opened.max(1) as f64,
                held_s: most(&|stage| stage.held_s),
                server_cpu_us_per_session_second: held_us / sessions.max(1) as f64,
                keep_alives: sum(|stage| stage.keep_alives),
                own_rss_bytes: sum(|stage| stage.own_rss_bytes),
            }
        })
        .collect()
}

fn merge_intervals(reports: &[Report]) -> Vec<Interval> {
    let mut merged: BTreeMap<u64, Interval> = BTreeMap::new();
    for interval in reports.iter().flat_map(|report| &report.intervals) {
        let sum = merged.entry(interval.at_s.round() as u64).or_insert_with(|| Interval {
            at_s: interval.at_s,
            seconds: interval.seconds,
            ..Interval::default()
        });
        sum.measuring |= interval.measuring;
        sum.open += interval.open;
        sum.in_chat += interval.in_chat;
        sum.operations += interval.operations;
        sum.own_cpus += interval.own_cpus;
        // Percentiles do not add up; the worst is an honest stand-in, and the totals have the histograms.
        sum.p50_us = sum.p50_us.max(interval.p50_us);
        sum.p99_us = sum.p99_us.max(interval.p99_us);
        sum.max_us = sum.max_us.max(interval.max_us);
        sum.server_cpus = sum.server_cpus.max(interval.server_cpus);
        sum.server_rss_bytes = sum.server_rss_bytes.max(interval.server_rss_bytes);
        sum.busy = sum.busy.max(interval.busy);
        for (count, value) in &interval.counts {
            *sum.counts.entry(*count).or_default() += value;
        }
    }
    merged.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_generators_saw_of_one_server_is_counted_once() {
        let stage = |sessions, opened| Stage {
            sessions,
            opened,
            server_rss_bytes: 300,
            own_rss_bytes: 50,
            server_cpu_us_per_open: 6000.0 / opened as f64,
            keep_alives: 7,
            ..Stage::default()
        };
        let report = |stages| -> Report {
            let mut report: Report = serde_json::from_value(serde_json::json!({
                "schema": 1, "version": "", "scenario": "idle", "end": "completed", "started_unix_s": 0.0,
                "options": {}, "target": "", "health": Health { sound: true, ..Health::default() },
                "machine": crate::run::machine::Machine::default(), "opening": Phase::default(),
                "stages": [], "measured": Phase::default(), "intervals": [],
            }))
            .unwrap();
            report.stages = stages;
            report
        };
        let merged =
            merge(&[report(vec![stage(10, 10), stage(20, 10)]), report(vec![stage(30, 30)])]).unwrap();
        assert_eq!(merged.stages.len(), 1, "the second stage of one is no stage of both");
        let both = &merged.stages[0];
        assert_eq!((both.sessions, both.opened, both.keep_alives), (40, 40, 14));
        assert_eq!((both.server_rss_bytes, both.own_rss_bytes), (300, 100));
        assert!((both.server_cpu_us_per_open - 150.0).abs() < 1e-9);
    }
}
