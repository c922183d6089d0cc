//! Columns as JSON for the browser: one array per column, so that a tick is some hundred bytes.

use std::fmt::Write as _;

use super::{Chart, Column};

impl Chart {
    /// `{"lead":..,"step":..,"range":..,"now":..,"pts":[[t,flags,covered,[5 outcomes],events,p50,p95,p99,max,[row,count,..]],..]}`;
    /// flags: 1 complete, 2 partial; null is unknown.
    pub fn json(&self) -> String {
        let lead = serde_json::Value::from(self.lead.as_str());
        let mut out = String::with_capacity(64 + self.columns.len() * 64);
        // Writing to a String cannot fail.
        let _ = write!(
            out,
            "{{\"lead\":{lead},\"step\":{},\"range\":{},\"now\":{},\"pts\":[",
            self.step, self.range, self.now
        );
        for (i, column) in self.columns.iter().enumerate() {
            out.push_str(if i > 0 { "," } else { "" });
            push(&mut out, column);
        }
        out.push_str("]}");
        out
    }
}

fn push(out: &mut String, c: &Column) {
    let flags = u8::from(c.complete) | u8::from(c.partial) << 1;
    let [a, b, d, e, f] = c.ended;
    let _ = write!(out, "[{},{flags},{},[{a},{b},{d},{e},{f}],{}", c.t, c.covered, c.events);
    for value in c.latency {
        match value.filter(|v| v.is_finite()) {
            Some(v) => {
                let _ = write!(out, ",{}", (f64::from(v) * 1e5).round() / 1e5);
            }
            None => out.push_str(",null"),
        }
    }
    out.push_str(",[");
    for (i, (row, count)) in c.heat.iter().enumerate() {
        let _ = write!(out, "{}{row},{count}", if i > 0 { "," } else { "" });
    }
    out.push_str("]]");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_can_read_it_and_hostile_names_stay_text() {
        let column = Column {
            t: 7,
            complete: true,
            covered: 1,
            ended: [1, 2, 0, 0, 0],
            heat: vec![(3, 2), (4, 1)],
            latency: [Some(0.25), None, Some(f32::NAN), Some(2.0)],
            ..Column::default()
        };
        let chart = Chart { step: 1, range: 60, now: 8, lead: "</script>\"\n".to_owned(), columns: vec![column] };
        let value: serde_json::Value = serde_json::from_str(&chart.json()).unwrap();
        assert_eq!(value["lead"], "</script>\"\n");
        assert_eq!(value["pts"][0].to_string(), "[7,1,1,[1,2,0,0,0],0,0.25,null,null,2,[3,2,4,1]]");
        assert!(!chart.json().contains('\n'), "an SSE data line has no line breaks");
    }
}
