//! Tables and laws of rendering and splitting.

use proptest::prelude::*;

use super::*;

const DIALECTS: [Dialect; 3] = [Dialect::Discord, Dialect::Plain, Dialect::TelegramHtml];

#[track_caller]
fn check(markdown: &str, dialect: Dialect, expected: &str) {
    let texts: Vec<String> = parts(markdown, dialect).into_iter().map(|part| part.text).collect();
    assert_eq!(texts, [expected], "{markdown}");
}

#[test]
fn markup_becomes_that_of_telegram() {
    #[rustfmt::skip]
    let table = [
        ("a **b** *c* ~~d~~ `e<f`",     "a <b>b</b> <i>c</i> <s>d</s> <code>e&lt;f</code>"),
        ("**a *b* c**",                 "<b>a </b><b><i>b</i></b><b> c</b>"),
        ("# Head\ntext",                "<b>Head</b>\n\ntext"),
        ("> one\n> two\n\nthree",       "<blockquote>one\ntwo</blockquote>\n\nthree"),
        ("> a\n>\n> b",                 "<blockquote>a\n\nb</blockquote>"),
        ("- a\n- b\n  - c\n- d",        "• a\n• b\n  • c\n• d"),
        ("3. a\n4. b",                  "3. a\n4. b"),
        ("- [x] a\n- [ ] b",            "• ☑ a\n• ☐ b"),
        ("[t](https://x.y/?a=1&b=\"2)", "<a href=\"https://x.y/?a=1&amp;b=&quot;2\">t</a>"),
        ("[t](javascript:x)",           "t (javascript:x)"),
        ("<https://x.y>",               "<a href=\"https://x.y\">https://x.y</a>"),
        ("![alt](https://x.y/z.png)",   "<a href=\"https://x.y/z.png\">alt</a>"),
        ("![](https://x.y/z.png)",      "https://x.y/z.png"),
        ("```rust\nlet a = 1 < 2;\n```", "<pre><code class=\"language-rust\">let a = 1 &lt; 2;</code></pre>"),
        ("x\n```\ny\n```\nz",           "x\n\n<pre>y</pre>\n\nz"),
        ("a <b>c</b> & \"d\"",          "a &lt;b&gt;c&lt;/b&gt; &amp; &quot;d&quot;"),
        ("|a|b|\n|-|-|\n|1|2|",         "<b>a</b><b> | </b><b>b</b>\n1 | 2"),
        ("a\n\n---\n\nb",               "a\n\n———\n\nb"),
    ];
    for (markdown, expected) in table {
        // Runs of one look are one run, whatever made them.
        let expected = expected.replace("</b><b> | </b><b>", " | ");
        check(markdown, Dialect::TelegramHtml, &expected);
    }
}

#[test]
fn discord_reads_markdown_as_it_is() {
    #[rustfmt::skip]
    let table = [
        ("**a** [b](https://c.d) # e",  "**a** [b](https://c.d) # e"),
        ("x\n```rust\nlet a;\n```\ny",  "x\n```rust\nlet a;\n```\ny"),
        ("~~~py\na\n~~~",               "```py\na\n```"),
        ("````\na ``` b\n````",         "```\na ``\u{200b}` b\n```"),
        ("```never closed",             "```never closed"),
        ("a ```b``` c",                 "a \n```\nb\n```\n c"),
        ("a ``` b",                     "a ``\u{200b}` b"),
        ("a\r\nb\u{0}",                 "a\nb"),
    ];
    for (markdown, expected) in table {
        if markdown.contains("never") {
            // A fence with nothing behind it says nothing.
            assert!(parts(markdown, Dialect::Discord).is_empty());
        } else {
            check(markdown, Dialect::Discord, expected);
        }
    }
}

#[test]
fn plain_text_keeps_what_is_said() {
    check("**a** [b](https://c.d) `e`", Dialect::Plain, "a b (https://c.d) e");
    let part = parts("see [b](https://c.d) <now>", Dialect::TelegramHtml).remove(0);
    assert_eq!(part.plain, "see b (https://c.d) <now>");
    assert_eq!(parts("**a**", Dialect::Discord).remove(0).plain, "a");
    for dialect in DIALECTS {
        assert!(parts("", dialect).is_empty());
        assert!(parts(" \n \n", dialect).is_empty());
    }
}

#[test]
fn it_is_cut_where_it_hurts_least() {
    let words = |count: usize| "word ".repeat(count).trim().to_owned();
    let lengths = |markdown: &str| -> Vec<usize> {
        parts(markdown, Dialect::Discord).iter().map(|part| units(&part.text)).collect()
    };
    // Between paragraphs, lines, sentences, words, and at last anywhere.
    assert_eq!(lengths(&format!("{}\n\n{}", words(200), words(390))), [999, 1949]);
    assert_eq!(lengths(&format!("{}\n{}", words(200), words(390))), [999, 1949]);
    assert_eq!(lengths(&format!("{}. {}", words(200), words(390))), [1000, 1949]);
    assert_eq!(lengths(&words(500)), [1999, 499]);
    assert_eq!(lengths(&"x".repeat(4500)), [2000, 2000, 500]);
    // Before a code block rather than in it.
    let code = format!("```rust\n{}```", "let a = 1;\n".repeat(120));
    let split = parts(&format!("{}\n\n{code}", words(200)), Dialect::Discord);
    assert_eq!(split.len(), 2);
    assert!(split[1].text.starts_with("```rust\n"));
}

#[test]
fn a_cut_code_block_is_opened_again() {
    let code = format!("```rust\n{}```", "let a = \"<&>\";\n".repeat(400));
    for (dialect, open, close) in [
        (Dialect::Discord, "```rust\n", "\n```"),
        (Dialect::TelegramHtml, "<pre><code class=\"language-rust\">", "</code></pre>"),
    ] {
        let parts = parts(&code, dialect);
        assert!(parts.len() > 2);
        for part in parts {
            assert!(part.text.starts_with(open) && part.text.ends_with(close), "{}", part.text);
            assert!(!part.text.contains("let a = \"\n"), "lines stay whole");
        }
    }
}

#[test]
fn what_is_seen_as_one_character_stays_one() {
    let family = "👨‍👩‍👧‍👦";
    for dialect in DIALECTS {
        for part in parts(&family.repeat(900), dialect) {
            assert!(part.text.replace(family, "").is_empty());
        }
        // Longer than a message, it has to be cut.
        let endless = format!("e{}", "\u{301}".repeat(9000));
        let parts = parts(&endless, dialect);
        assert!(parts.iter().all(|part| units(&part.text) <= dialect.limit()));
        assert_eq!(parts.iter().map(|part| part.text.chars().count()).sum::<usize>(), 9001);
    }
}

/// Walks through HTML and returns its text; fails if it is not balanced or not escaped.
fn text_of(html: &str) -> String {
    let mut open: Vec<&str> = Vec::new();
    let mut text = String::new();
    let mut rest = html;
    while let Some(place) = rest.find(['<', '>', '&']) {
        let (before, found) = rest.split_at(place);
        text.push_str(before);
        if let Some(entity) = found.strip_prefix('&') {
            let (name, after) = entity.split_once(';').expect("an entity ends");
            text.push_str(match name {
                "amp" => "&",
                "lt" => "<",
                "gt" => ">",
                "quot" => "\"",
                other => panic!("{other} in {html}"),
            });
            rest = after;
            continue;
        }
        let tag = found.strip_prefix('<').expect("no bare >");
        let (tag, after) = tag.split_once('>').expect("a tag ends");
        rest = after;
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "{html}"),
            None => {
                let name = tag.split(' ').next().unwrap();
                let known = ["a", "b", "blockquote", "code", "i", "pre", "s"];
                assert!(known.contains(&name), "{tag} in {html}");
                open.push(name);
            }
        }
    }
    assert!(open.is_empty(), "{open:?} in {html}");
    text + rest
}

fn is_balanced(text: &str) -> bool {
    text.matches("```").count().is_multiple_of(2)
}

/// Markdown with words that can be told apart.
fn document() -> impl Strategy<Value = (String, Vec<String>)> {
    let block = (0_usize..9, 1_usize..220);
    proptest::collection::vec(block, 1..12).prop_map(|blocks| {
        let mut next = 0_usize;
        let mut all = Vec::new();
        let mut markdown = String::new();
        for (kind, count) in blocks {
            let words: Vec<String> = (next..next + count).map(|n| format!("w{n}x")).collect();
            next += count;
            let line = words.join(" ");
            let lines = words.join("\n");
            let block = match kind {
                0 => format!("{line}\n\n"),
                1 => format!("# {line}\n\n"),
                2 => format!("```rust\n{lines}\n```\n"),
                3 => format!("> {}\n\n", words.join("\n> ")),
                4 => format!("- {}\n\n", words.join("\n- ")),
                5 => format!("**{line}** \n\n"),
                6 => format!("{}\n\n", words.join(" & <")),
                7 => format!("`{line}`\n\n"),
                _ => format!("~~~\n{line}\n~~~\n\n"),
            };
            markdown.push_str(&block);
            all.extend(words);
        }
        (markdown, all)
    })
}

fn words(text: &str) -> Vec<String> {
    let word = |word: &&str| word.len() > 2 && word.starts_with('w') && word.ends_with('x');
    let split = text.split(|c: char| !c.is_ascii_alphanumeric());
    split.filter(word).map(str::to_owned).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_word_arrives_in_order((markdown, expected) in document()) {
        for dialect in DIALECTS {
            let parts = parts(&markdown, dialect);
            let said = |text: fn(&Part) -> &str| -> Vec<String> {
                parts.iter().flat_map(|part| words(text(part))).collect()
            };
            prop_assert_eq!(&said(|part| &part.text), &expected);
            prop_assert_eq!(&said(|part| &part.plain), &expected);
        }
    }

    #[test]
    fn no_part_is_too_long_and_all_are_whole(markdown in "(?s)([a-c<>&\"`*_~#>|\\-\\[\\]()! \n👩‍é]{0,40}|```[a-z]*\n|`{1,5}|.){0,120}", copies in 1_usize..20) {
        let markdown = markdown.repeat(copies);
        for dialect in DIALECTS {
            for part in parts(&markdown, dialect) {
                prop_assert!(units(&part.text) <= dialect.limit());
                prop_assert!(units(&part.plain) <= dialect.limit());
                prop_assert!(!part.text.trim().is_empty());
                match dialect {
                    Dialect::Discord => prop_assert!(is_balanced(&part.text), "{}", part.text),
                    Dialect::TelegramHtml => drop(text_of(&part.text)),
                    Dialect::Plain => {}
                }
            }
        }
    }

    #[test]
    fn captions_fit((markdown, expected) in document()) {
        let limit = Dialect::TelegramHtml.caption_limit();
        let parts = parts_within(&markdown, Dialect::TelegramHtml, limit);
        prop_assert!(parts.iter().all(|part| units(&part.text) <= limit));
        let said: Vec<String> = parts.iter().flat_map(|part| words(&text_of(&part.text))).collect();
        prop_assert_eq!(said, expected);
    }
}
