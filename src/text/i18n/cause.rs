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
        for (piece, meaning) in KNOWN {
            assert_eq!(*piece, piece.to_lowercase());
            assert!(meaning.chars().any(|c| ('\u{ac00}'..='\u{d7a3}').contains(&c)));
        }
    }
}
