//! `doctor`: looks at everything that a start needs, and says how to mend what is missing.

use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use super::{Exit, Program, Terminal};
use crate::broker::Finding;
use crate::config::Config;

/// The longest that one cluster is waited for.
const CLUSTER_DEADLINE: Duration = Duration::from_secs(10);
/// The longest that a collector is waited for.
const CONNECT_DEADLINE: Duration = Duration::from_secs(2);

pub(super) fn run(config: &Config, program: &dyn Program, terminal: &mut Terminal<'_>) -> Exit {
    let mut findings = vec![data_dir(config), exposure(config)];
    findings.extend(config.telemetry.otlp_endpoint.as_deref().map(collector));
    for cluster in &config.clusters {
        let found = match program.inspect(config, cluster) {
            Ok(inspect) => {
                let mut found = inspect.doctor(&config.streams_of(&cluster.name), CLUSTER_DEADLINE);
                let publish = config.publish.as_ref().filter(|p| p.cluster == cluster.name);
                // A cluster that was not reached has said why.
                if found.iter().any(|f| f.ok == Some(true)) {
                    found.extend(publish.and_then(|p| inspect.may_write(&p.stream, CLUSTER_DEADLINE)));
                }
                found
            }
            Err(detail) => vec![Finding { what: "client".into(), ok: Some(false), detail, mend: String::new() }],
        };
        findings.extend(found.into_iter().map(|f| Finding { what: format!("{}: {}", cluster.name, f.what), ..f }));
    }
    for warning in &config.warnings {
        terminal.print(format_args!("warning: {warning}\n"));
    }
    terminal.print(table(&findings));
    let failed = findings.iter().filter(|f| f.ok == Some(false)).count();
    let unknown = findings.iter().filter(|f| f.ok.is_none()).count();
    terminal.print(format_args!("{} findings: {failed} do not hold, {unknown} could not be told\n", findings.len()));
    if failed == 0 { Exit::Clean } else { Exit::Failed }
}

/// One line per finding, in columns; under it how to mend it.
fn table(findings: &[Finding]) -> String {
    let width = findings.iter().map(|f| f.what.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for f in findings {
        let mark = match f.ok {
            Some(true) => "ok  ",
            Some(false) => "FAIL",
            None => "?   ",
        };
        text.push_str(format!("{mark}  {:width$}  {}", f.what, f.detail).trim_end());
        text.push('\n');
        if !f.mend.is_empty() {
            text.push_str(&format!("      {:width$}  -> {}\n", "", f.mend));
        }
    }
    text
}

/// Whether state can be kept where it is to be kept.
fn data_dir(config: &Config) -> Finding {
    let dir = &config.data_dir;
    // The nearest folder that exists is where the rest would be made.
    let existing = dir.ancestors().find(|d| d.as_os_str().is_empty() || d.exists());
    let probe = existing.filter(|d| !d.as_os_str().is_empty()).unwrap_or(std::path::Path::new("."));
    let name = probe.join(format!(".streamgauge-probe-{}", std::process::id()));
    let written = std::fs::write(&name, b"probe").and_then(|()| std::fs::remove_file(&name));
    let (ok, detail, mend) = match written {
        Ok(()) if dir.exists() => (true, format!("{} can be written", dir.display()), String::new()),
        Ok(()) => (true, format!("{} will be made", dir.display()), String::new()),
        Err(e) => {
            (false, format!("{}: {e}", probe.display()), "give --data-dir a directory that can be written".into())
        }
    };
    Finding { what: "data_dir".into(), ok: Some(ok), detail, mend }
}

fn exposure(config: &Config) -> Finding {
    let what = "listen".to_owned();
    match config.check_exposure() {
        Ok(()) => Finding { what, ok: Some(true), detail: config.listen.to_string(), mend: String::new() },
        Err(problem) => {
            Finding { what, ok: Some(false), detail: problem.to_string(), mend: "one of what is allowed".into() }
        }
    }
}

/// Whether somebody listens at the OTLP endpoint.
fn collector(endpoint: &str) -> Finding {
    let authority = endpoint.trim_start_matches("http://").split('/').next().unwrap_or_default();
    let authority = if authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
        authority.to_owned()
    } else {
        format!("{authority}:4317")
    };
    let reached = authority.to_socket_addrs().and_then(|mut found| {
        let first = found.next().ok_or_else(|| std::io::Error::other("the name has no address"))?;
        TcpStream::connect_timeout(&first, CONNECT_DEADLINE)
    });
    let (ok, detail, mend) = match reached {
        Ok(_) => (true, format!("{endpoint} answers"), ""),
        Err(e) => (false, format!("{endpoint}: {e}"), "start a collector there, or remove telemetry.otlp_endpoint"),
    };
    Finding { what: "otlp_endpoint".into(), ok: Some(ok), detail, mend: mend.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_with_what_to_do() {
        let finding = |what: &str, ok, detail: &str, mend: &str| Finding {
            what: what.into(),
            ok,
            detail: detail.into(),
            mend: mend.into(),
        };
        let text = table(&[
            finding("main: reach", Some(true), "3 brokers, 40 ms", ""),
            finding("main: read orders", Some(false), "no right", "allow DESCRIBE and READ on topic orders"),
            finding("main: size", None, "", ""),
        ]);
        let expected = "\
ok    main: reach        3 brokers, 40 ms
FAIL  main: read orders  no right
                         -> allow DESCRIBE and READ on topic orders
?     main: size
";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_collector_is_looked_for() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        assert_eq!(collector(&endpoint).ok, Some(true));
        drop(listener);
        assert_eq!(collector(&endpoint).ok, Some(false));
    }
}
