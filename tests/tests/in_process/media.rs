//! What comes with messages: it is fetched for whoever is let in, bounded, and kept where its agent finds it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use openclaw_platforms::{Answer, Discord, Say, Telegram, Tell, WebSink};
use openclaw_tests::TestGateway;
use serde_json::json;

use super::chats::{said, telegram_gateway};
use super::delivery::on_discord;

pub(super) const PNG: &[u8] = b"\x89PNG\r\n\x1a\n and the rest of a picture";
const LET_IN: &str = "channels.telegram.allowFrom = [\"7\"]";

/// The files that are kept for an agent.
fn kept(gateway: &TestGateway) -> Vec<PathBuf> {
    let dir = gateway.workspace("main").join("media/inbound");
    let files = fs::read_dir(dir).into_iter().flatten().flatten().map(|file| file.path());
    let mut files: Vec<_> = files.collect();
    files.sort();
    files
}

/// Somebody sends a file with a text.
pub(super) fn with_file(text: &str, id: &str, name: &str, mime: &str, size: u64) -> Tell {
    let file = json!({ "file_id": id, "file_name": name, "mime_type": mime, "file_size": size });
    Tell::direct(7, text).with("document", file)
}

#[tokio::test]
//= docs/threat-model.md#T9
async fn a_file_is_kept_under_its_digest_and_named_in_the_text() {
    let telegram = Telegram::start().await;
    let gateway = telegram_gateway(&telegram, LET_IN).await;
    telegram.keep("a", "photos/file_1.jpg", PNG);
    telegram.say(&Tell::direct(7, "What is this?").with_picture("a"));
    let answer = said(&telegram, 1).await;
    let [file] = kept(&gateway).try_into().unwrap();
    let name = file.file_name().unwrap().to_str().unwrap();
    assert_eq!(fs::read(&file).unwrap(), PNG);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let line = format!("image without a name, image/png, 34 bytes, stored as media/inbound/{name}");
    assert!(answer.contains("What is this?") && answer.contains(&line), "{answer}");
    // The same from somebody's disk is the same file; names lead nowhere.
    telegram.keep("b", "documents/file_2.png", PNG);
    telegram.say(&with_file("And this?", "b", "../../../AGENTS.md", "text/html", 3));
    let answer = said(&telegram, 2).await;
    assert!(answer.contains("AGENTS.md") && answer.contains(name), "{answer}");
    assert_eq!(kept(&gateway), [file]);
    assert!(!gateway.workspace("main").join("AGENTS.md").exists());
    // What Telegram tells of again is not fetched again.
    telegram.all_confirmed().await;
    let fetched = telegram.received("file").len();
    telegram.repeat();
    telegram.say(&Tell::direct(7, "Thanks."));
    said(&telegram, 3).await;
    assert_eq!((telegram.received("file").len(), fetched), (2, 2));
}

#[tokio::test]
//= docs/threat-model.md#T26
async fn what_cannot_be_fetched_is_named_and_the_message_is_heard() {
    let telegram = Telegram::start().await;
    let elsewhere = WebSink::start().await;
    let gateway = telegram_gateway(&telegram, LET_IN).await;
    let mut count = 0;
    let mut ask = async |tell: &Tell| {
        telegram.say(tell);
        count += 1;
        said(&telegram, count).await
    };
    let huge = ask(&with_file("Huge.", "a", "a.bin", "x/y", 1 << 30)).await;
    assert!(huge.contains("Huge.") && huge.contains("more than 20 MiB"), "{huge}");
    assert_eq!(telegram.received("getFile").len(), 0, "it is not even asked for");
    // Its size is a lie.
    telegram.keep("b", "documents/b", PNG);
    telegram.script("file", [Answer::Big(21 << 20)]);
    let lied = ask(&with_file("Lied.", "b", "b.bin", "x/y", 12)).await;
    assert!(lied.contains("Lied.") && lied.contains("more than 20 MiB"), "{lied}");
    let picture = Tell::direct(7, "Picture.").with_picture("b");
    telegram.script("file", [Answer::Big(6 << 20)]);
    assert!(ask(&picture).await.contains("more than 5 MiB"));
    telegram.script("file", [Answer::Redirect { to: elsewhere.url() }]);
    assert!(ask(&picture).await.contains("status 302"));
    telegram.script("file", [Answer::AcceptThenClose]);
    assert!(ask(&picture).await.contains("is not here"));
    let absent = ask(&with_file("Absent.", "nothing", "n", "x/y", 1)).await;
    assert!(absent.contains("wrong file_id"), "{absent}");
    for path in ["../../bot/getMe", "/etc/passwd", "photos//a", "a/./b"] {
        telegram.keep("c", path, PNG);
        let told = ask(&with_file("Path.", "c", "c", "x/y", 1)).await;
        assert!(told.contains("no path to it"), "{path}: {told}");
    }
    assert_eq!(elsewhere.received().len(), 0);
    assert_eq!(kept(&gateway), Vec::<PathBuf>::new());
    // What is no picture is none, whatever it is called.
    telegram.keep("d", "documents/d", b"<html><script>alert(1)</script>");
    let html = ask(&with_file("Html.", "d", "cat.png", "image/png", 31)).await;
    assert!(html.contains("[file <code>cat.png</code>, text/plain, 31 bytes"), "{html}");
    assert!(kept(&gateway)[0].extension().is_some_and(|it| it == "txt"));
    // Nobody's token is told.
    assert!(telegram.sent().iter().all(|sent| !sent.text.contains(Telegram::TOKEN)));
}

#[tokio::test]
//= docs/threat-model.md#T31
async fn nothing_of_a_stranger_is_fetched() {
    let telegram = Telegram::start().await;
    let config = format!("{LET_IN}\nchannels.telegram.groups = {{ \"-1\" = {{}} }}");
    let gateway = telegram_gateway(&telegram, &config).await;
    telegram.keep("a", "photos/a", PNG);
    telegram.say(&Tell::direct(8, "Look.").with_picture("a"));
    assert!(said(&telegram, 1).await.contains("I do not know you yet"));
    telegram.say(&Tell::in_group(-1, 8, "Look.").with_picture("a"));
    telegram.say(&Tell::in_group(-2, 7, "Look.").with_picture("a"));
    // Where the bot is not meant neither.
    telegram.say(&Tell::in_group(-1, 7, "Look.").with_picture("a"));
    telegram.say(&Tell::direct(7, "/help").with_picture("a"));
    said(&telegram, 2).await;
    telegram.all_confirmed().await;
    assert_eq!(telegram.received("getFile").len() + telegram.received("file").len(), 0);
    assert_eq!(kept(&gateway), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_gateway_may_keep_nothing_or_little() {
    let telegram = Telegram::start().await;
    let gateway =
        telegram_gateway(&telegram, &format!("{LET_IN}\nmessages.inbound.maxMediaBytes = 0")).await;
    telegram.keep("a", "photos/a", PNG);
    telegram.say(&Tell::direct(7, "Look.").with_picture("a"));
    let told = said(&telegram, 1).await;
    assert!(told.contains("Look.") && told.contains("keeps no files"), "{told}");
    assert_eq!(telegram.received("getFile").len(), 0);
    drop(gateway);

    let telegram = Telegram::start().await;
    let gateway =
        telegram_gateway(&telegram, &format!("{LET_IN}\nmessages.inbound.maxMediaBytes = 100"))
            .await;
    for number in 0..4_usize {
        let content = [PNG, &[b'0' + u8::try_from(number).unwrap(); 10]].concat();
        telegram.keep("a", "photos/a", &content);
        telegram.say(&Tell::direct(7, "Look.").with_picture("a"));
        said(&telegram, number + 1).await;
        assert!(kept(&gateway).len() <= 2);
    }
}

#[tokio::test]
//= docs/threat-model.md#T10
async fn discord_is_asked_without_the_token_and_nobody_else_is() {
    let (discord, elsewhere) = (Discord::start().await, WebSink::start().await);
    let gateway = on_discord(&discord).config("channels.discord.allowFrom = [\"5\"]").start().await;
    discord.wait_for_identify(1).await;
    let url = discord.keep("cat.png", PNG);
    let look = Say::direct("95", "5", "Look.").with_file(&url, "cat.png", "image/png", 35);
    discord.say(&look);
    discord.wait_for(1).await;
    let told = discord.sent()[0].text.clone();
    assert!(told.contains("[image `cat.png`, image/png, 34 bytes, stored as"), "{told}");
    assert_eq!(kept(&gateway).len(), 1);
    let asked = discord.received("file");
    assert_eq!(asked.len(), 1);
    assert!(!asked[0].headers.contains_key("authorization"));

    discord.script("file", [Answer::Redirect { to: "http://169.254.169.254/".to_owned() }]);
    let files = [
        (url, "status 302"),
        (elsewhere.url(), "not where the platform keeps files"),
        ("http://169.254.169.254/latest".to_owned(), "not where the platform keeps files"),
    ];
    let mut say = Say::direct("95", "5", "Look again.");
    for (url, _) in &files {
        say = say.with_file(url, "x.png", "image/png", 1);
    }
    for _ in 0..6 {
        say = say.with_file(&elsewhere.url(), "x.png", "image/png", 1);
    }
    discord.say(&say);
    discord.wait_for(2).await;
    let told: String = discord.sent()[1..].iter().map(|sent| sent.text.clone()).collect();
    for (_, why) in &files {
        assert!(told.contains(why), "{told}");
    }
    assert!(told.contains("a message may bring 8 files"), "{told}");
    assert_eq!((elsewhere.received().len(), kept(&gateway).len()), (0, 1));
}
