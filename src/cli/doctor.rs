//! `doctor`: looks at everything that a start needs, and says how to mend what is missing.

use std::net::{TcpStream, ToSocketAddrs};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use super::{Exit, Program, Terminal};
use crate::broker::{Finding, Inspect, Wants};
use crate::config::{ClusterConfig, Config};
use crate::dlq::{marker_stream, own_group};
use crate::model::{Role, StreamName};

/// The longest that one cluster is waited for.
const CLUSTER_DEADLINE: Duration = Duration::from_secs(10);
/// The longest that a collector is waited for.
const CONNECT_DEADLINE: Duration = Duration::from_secs(2);

/// Room for findings that are not printed yet; a full channel makes the one that looks wait.
const ROOM: usize = 64;

pub(super) fn run(config: &Config, program: &dyn Program, terminal: &mut Terminal<'_>) -> Exit {
    for warning in &config.warnings {
        terminal.print(format_args!("warning: {warning}\n"));
    }
    let (mut all, mut failed, mut unknown) = (0, 0, 0);
    let mut say = |finding: &Finding| {
        (all, failed, unknown) =
            (all + 1, failed + usize::from(finding.ok == Some(false)), unknown + usize::from(finding.ok.is_none()));
        terminal.print(lines(finding));
        terminal.flush();
    };
    say(&data_dir(config));
    say(&exposure(config));
    let (told, findings) = sync_channel(ROOM);
    std::thread::scope(|scope| {
        if let Some(endpoint) = config.telemetry.otlp_endpoint.as_deref() {
            let told = told.clone();
            scope.spawn(move || drop(told.send(collector(endpoint))));
        }
        for cluster in &config.clusters {
            let (told, inspect) = (told.clone(), program.inspect(config, cluster));
            scope.spawn(move || examine(config, cluster, inspect, &told));
        }
        drop(told);
        findings.iter().for_each(|finding| say(&finding));
    });
    terminal.print(format_args!("{all} findings: {failed} do not hold, {unknown} could not be told\n"));
    if failed == 0 { Exit::Clean } else { Exit::Failed }
}

/// Looks at one cluster; every finding is told at once.
fn examine(
    config: &Config,
    cluster: &ClusterConfig,
    inspect: Result<Box<dyn Inspect>, String>,
    told: &SyncSender<Finding>,
) {
    let mut reached = false;
    let mut say = |f: Finding| {
        reached |= f.ok == Some(true);
        drop(told.send(Finding { what: format!("{}: {}", cluster.name, f.what), ..f }));
    };
    let inspect = match inspect {
        Ok(inspect) => inspect,
        Err(detail) => return say(Finding { what: "client".into(), ok: Some(false), detail, mend: String::new() }),
    };
    inspect.doctor_each(&config.streams_of(&cluster.name), CLUSTER_DEADLINE, &mut say);
    if !reached {
        return; // a cluster that was not reached has said why
    }
    if let Some(publish) = config.publish.as_ref().filter(|p| p.cluster == cluster.name)
        && let Some(finding) = inspect.may_write(&publish.stream, CLUSTER_DEADLINE)
    {
        told.send(Finding { what: format!("{}: {}", cluster.name, finding.what), ..finding }).ok();
    }
    inspect.rights(&wants(config, cluster), CLUSTER_DEADLINE, &mut |f| {
        drop(told.send(Finding { what: format!("{}: {}", cluster.name, f.what), ..f }));
    });
}

/// What the configuration wants of a cluster beside reading its streams.
fn wants(config: &Config, cluster: &ClusterConfig) -> Wants {
    let of = |role: Role| {
        config.streams.iter().filter(move |s| s.cluster == cluster.name && s.role == role).filter_map(|s| {
            match &s.name {
                StreamName::Exact(name) => Some(name.clone()),
                StreamName::Pattern(_) => None,
            }
        })
    };
    let letters: Vec<String> = of(Role::Dlq).collect();
    Wants {
        // Dead letters too need the positions of a group: that of their redrive.
        groups: config.lag.enabled || config.dlq.enabled,
        offsets_topic: config.lag.enabled && config.lag.offsets_topic,
        records: config.lag.enabled && config.lag.read_records,
        redrive: letters.iter().map(|stream| own_group(stream)).collect(),
        redrive_to: of(Role::Events).chain(letters.iter().map(|stream| marker_stream(stream))).collect(),
    }
}

/// What a finding is about takes this much room at least, so that lines that come one by one stand in columns.
const WIDTH: usize = 36;

/// The line of a finding; under it how to mend it.
fn lines(f: &Finding) -> String {
    let mark = match f.ok {
        Some(true) => "ok  ",
        Some(false) => "FAIL",
        None => "?   ",
    };
    let mut text = format!("{mark}  {:WIDTH$}  {}", f.what, f.detail).trim_end().to_owned();
    text.push('\n');
    if !f.mend.is_empty() {
        text.push_str(&format!("      {:WIDTH$}  -> {}\n", "", f.mend));
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
    fn a_line_with_what_to_do() {
        let line = |what: &str, ok, detail: &str, mend: &str| {
            lines(&Finding { what: what.into(), ok, detail: detail.into(), mend: mend.into() })
        };
        assert_eq!(
            line("main: reach", Some(true), "3 brokers", ""),
            "ok    main: reach                           3 brokers\n"
        );
        assert_eq!(
            line("main: read orders", Some(false), "no right", "allow READ on topic orders"),
            "FAIL  main: read orders                     no right\n                                            -> allow READ on topic orders\n"
        );
        assert_eq!(line("main: size", None, "", ""), "?     main: size\n");
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
