//! What brokers say when something fails, in the words of the page's language.
//!
//! Brokers and their libraries speak English, in hundreds of sentences. The causes that an operator meets are known
//! here by a piece of them; the sentence itself always stands beside, because it is what one searches for.

use crate::text::Locale;

/// A piece of a broker's sentence (lower case), and what it means in Korean. The first that fits holds.
#[rustfmt::skip]
const KNOWN: &[(&str, &str)] = &[
    ("connection refused", "연결이 거부되었습니다: 브로커가 떠 있지 않거나 주소나 포트가 다릅니다"),
    ("failed to resolve", "호스트 이름을 찾을 수 없습니다"),
    ("name or service not known", "호스트 이름을 찾을 수 없습니다"),
    ("no route to host", "호스트까지 가는 경로가 없습니다"),
    ("certificate", "TLS 인증서를 확인할 수 없습니다"),
    ("ssl handshake", "TLS 연결을 맺지 못했습니다"),
    ("sasl", "인증에 실패했습니다"),
    ("authentication", "인증에 실패했습니다"),
    ("authorization failed", "권한이 없습니다"),
    ("not authorized", "권한이 없습니다"),
    ("access denied", "권한이 없습니다"),
    ("brokers are down", "모든 브로커에 연결할 수 없습니다"),
    ("broker connections are down", "모든 브로커에 연결할 수 없습니다"),
    ("no answer for", "연결하는 중이며 아직 응답이 없습니다"),
    ("leader not available", "리더가 없습니다"),
    ("no leader", "리더가 없습니다"),
    ("unknown topic", "그런 토픽이나 파티션이 없습니다"),
    ("no such stream", "그런 스트림이 없습니다"),
    ("is not there yet", "아직 없습니다: 첫 이벤트가 오면 만들어집니다"),
    ("offset out of range", "위치가 로그의 범위를 벗어났습니다"),
    ("was cut by", "로그가 우리가 읽은 위치보다 짧습니다: 예전 사본으로 복원되었거나 잘렸습니다"),
    ("timed out", "응답 시간이 초과되었습니다"),
    ("timeout", "응답 시간이 초과되었습니다"),
    ("disconnected", "연결이 끊겼습니다"),
    ("transport failure", "연결이 끊겼습니다"),
    ("no space left", "디스크에 남은 공간이 없습니다"),
    ("were looked up in this server's own state", "이 서버의 상태에서 트랜잭션을 조회했습니다. 정상 종료 후 1시간이 지난 것은 알 수 없습니다"),
    ("is asked of the server at", "트랜잭션의 정상 종료 여부를 서버에 물어봅니다"),
    ("not known which transactions have ended ok", "어떤 트랜잭션이 정상 종료되었는지 알 수 없습니다"),
    ("is not compacted", "무엇을 보냈는지 적어 두는 스트림이 압축(compact) 설정이 아니어서, 오래된 기록은 만료될 수 있습니다"),
    ("too large for its target", "보낼 곳이 받는 크기보다 커서 남아 있습니다"),
    ("order of records with the same key", "같은 키의 레코드 순서는 유지되지 않습니다. 복사본은 기존 레코드 뒤에 추가됩니다"),
    ("all of them get the copies", "여러 그룹이 대상 스트림을 읽으며, 모두 복사본을 받습니다"),
    ("was long over began anew", "오래전에 끝난 트랜잭션이 아직 보관 중일 때 다시 시작되었습니다"),
    ("may be forgotten", "이벤트가 너무 늦게 와서 그 트랜잭션을 이미 잊었을 수 있습니다"),
    ("records expired", "읽기 전에 만료된 레코드가 있습니다"),
];

/// What a broker's sentence means, where the language is not the broker's; `None`: not known, or nothing to translate.
#[must_use]
pub fn cause(sentence: &str, locale: Locale) -> Option<&'static str> {
    if locale == Locale::En {
        return None;
    }
    let lower = sentence.to_lowercase();
    KNOWN.iter().find(|(piece, _)| lower.contains(piece)).map(|(_, meaning)| *meaning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_causes_that_operators_meet_are_known() {
        let ko = |s| cause(s, Locale::Ko);
        let refused = "127.0.0.1:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 0ms)";
        assert!(ko(refused).unwrap().contains("거부"));
        assert!(ko("Local: Broker transport failure").is_some());
        assert_eq!(ko("something that nobody foresaw"), None);
        assert_eq!(cause(refused, Locale::En), None);
        let note = "2 groups read orders and all of them get the copies: a, b";
        assert!(ko(note).unwrap().contains("\u{adf8}\u{b8f9}"));
        for (piece, meaning) in KNOWN {
            assert_eq!(*piece, piece.to_lowercase());
            assert!(meaning.chars().any(|c| ('\u{ac00}'..='\u{d7a3}').contains(&c)));
        }
    }
}
