//! A transcript, and the action items that plain rules find in it: the same for the same words.

/// How many action items are found at most.
const MOST_ACTIONS: usize = 10;
/// The longest action and the longest summary, in characters.
const LONGEST_TEXT: usize = 300;

/// Who says a thing does it.
const PROMISES: [&str; 4] = ["i will", "i'll", "we will", "we'll"];
/// The other one does it.
const REQUESTS: [&str; 3] = ["please", "can you", "could you"];
/// It is not said who does it.
const DEEDS: [&str; 7] =
    ["book", "confirm", "send", "call back", "follow up", "remind", "schedule"];

const DAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const TIMES: [&str; 6] = ["today", "tonight", "tomorrow", "next week", "this week", "next month"];

/// Something that was agreed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Action {
    pub(super) action: String,
    /// `agent` or `customer`.
    pub(super) owner: Option<&'static str>,
    /// In the words of the transcript.
    pub(super) due: Option<&'static str>,
}

/// What was said, sentence by sentence.
#[derive(Debug)]
pub(super) struct Transcript<'a> {
    sentences: Vec<Sentence<'a>>,
}

#[derive(Debug)]
struct Sentence<'a> {
    speaker: Option<&'static str>,
    text: &'a str,
    /// Lower-case words with single spaces between and around, to find words and not parts of them.
    words: String,
}

impl<'a> Transcript<'a> {
    /// Lines may begin with who speaks (`AI:`, `User:` …).
    pub(super) fn of(text: &'a str) -> Self {
        let sentences = text.lines().flat_map(|line| {
            let (speaker, said) = split_speaker(line.trim());
            said.split_inclusive(['.', '!', '?'])
                .map(str::trim)
                .filter(|s| !s.is_empty())
                .map(move |text| Sentence { speaker, text, words: words(text) })
        });
        Self { sentences: sentences.collect() }
    }

    pub(super) fn actions(&self) -> Vec<Action> {
        self.sentences.iter().filter_map(Sentence::action).take(MOST_ACTIONS).collect()
    }

    /// The first sentences.
    pub(super) fn summary(&self) -> String {
        let first: Vec<&str> =
            self.sentences.iter().take(3).map(|sentence| sentence.text).collect();
        if first.is_empty() { "Nothing was said.".to_owned() } else { shortened(&first.join(" ")) }
    }
}

impl Sentence<'_> {
    fn says(&self, cue: &str) -> bool {
        self.words.contains(&format!(" {} ", cue.to_lowercase()))
    }

    fn action(&self) -> Option<Action> {
        let promised = PROMISES.iter().any(|cue| self.says(cue));
        let requested = REQUESTS.iter().any(|cue| self.says(cue));
        let asked = self.text.ends_with('?');
        let named = !asked && DEEDS.iter().any(|cue| self.says(cue));
        // "Yes please." asks for nothing by itself.
        let too_short = self.words.split_whitespace().count() < 3;
        if too_short || !(promised && !asked || requested || named) {
            return None;
        }
        let owner = if requested && !promised { self.speaker.map(other) } else { self.speaker };
        let mut times = TIMES.into_iter().chain(DAYS);
        Some(Action {
            action: shortened(self.text),
            owner,
            due: times.find(|time| self.says(time)),
        })
    }
}

fn split_speaker(line: &str) -> (Option<&'static str>, &str) {
    let Some((label, said)) = line.split_once(':') else { return (None, line) };
    match label.trim().to_lowercase().as_str() {
        "ai" | "agent" | "assistant" | "bot" => (Some("agent"), said),
        "user" | "customer" | "caller" | "human" => (Some("customer"), said),
        _ => (None, line),
    }
}

fn other(speaker: &'static str) -> &'static str {
    if speaker == "agent" { "customer" } else { "agent" }
}

fn words(text: &str) -> String {
    let lower = text.to_lowercase().replace('’', "'");
    let split = lower.split(|letter: char| !letter.is_alphanumeric() && letter != '\'');
    let words: Vec<&str> = split.filter(|word| !word.is_empty()).collect();
    format!(" {} ", words.join(" "))
}

fn shortened(text: &str) -> String {
    text.chars().take(LONGEST_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action(action: &str, owner: &'static str, due: Option<&'static str>) -> Action {
        Action { action: action.to_owned(), owner: Some(owner), due }
    }

    #[test]
    fn promises_requests_and_deeds_are_found() {
        let transcript = Transcript::of(
            "AI: Hello! I'll send you the contract tomorrow.\n\
             User: Please call back on Friday. Yes please.\n\
             AI: Shall I confirm it?\nUser: My facebook page is down.",
        );
        let expected = [
            action("I'll send you the contract tomorrow.", "agent", Some("tomorrow")),
            action("Please call back on Friday.", "agent", Some("Friday")),
        ];
        assert_eq!(transcript.actions(), expected);
    }

    #[test]
    fn nothing_said_is_nothing_found() {
        assert_eq!(Transcript::of("").actions(), []);
        assert_eq!(Transcript::of("").summary(), "Nothing was said.");
    }
}
