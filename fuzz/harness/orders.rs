//! Lines on the control socket: any bytes are an order or none, and codes name nobody who is not there.

use std::sync::{Arc, OnceLock};

use anoncam::abuse::{Guard, GuardConfig};
use anoncam::ops::control::Order;
use anoncam::transport::clock::Clock;

fn guard() -> &'static Arc<Guard> {
    static GUARD: OnceLock<Arc<Guard>> = OnceLock::new();
    GUARD.get_or_init(|| {
        let config =
            GuardConfig { limit_addresses: true, people_per_address: 10, work_above: 10, max_sessions: 10 };
        Arc::new(Guard::new(Clock::start(), config).expect("random numbers"))
    })
}

/// The input is one line.
pub fn run(data: &[u8]) {
    let Ok(order) = serde_json::from_slice::<Order>(data) else { return };
    let line = serde_json::to_string(&order).expect("an order is JSON");
    assert_eq!(serde_json::from_str::<Order>(&line).ok().as_ref(), Some(&order), "{line}");
    let (_, now) = guard().clock().now();
    match order {
        Order::Ban { code, span_s } => assert!(guard().ban(now, &code, span_s).is_err(), "nobody is there"),
        Order::Unban { code } => assert!(guard().unban(&code).is_err(), "nobody is barred"),
        Order::Pow { when: Some(when) } => {
            guard().ask(when);
            assert_eq!(guard().asking(), when);
        }
        _ => {}
    }
}
