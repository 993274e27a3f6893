//! Tests of the file tools as a model calls them.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;

use super::read::MAX_READ;
use super::write::MAX_WRITE;
use super::*;

struct Place {
    dir: tempfile::TempDir,
    tools: [Box<dyn Tool>; 4],
}

fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let workspace = Arc::new(Workspace::open(dir.path(), &[]).unwrap());
    let tools: [Box<dyn Tool>; 4] = [
        Box::new(ReadFile::new(Arc::clone(&workspace))),
        Box::new(ListDir::new(Arc::clone(&workspace))),
        Box::new(WriteFile::new(Arc::clone(&workspace))),
        Box::new(EditFile::new(workspace)),
    ];
    Place { dir, tools }
}

impl Place {
    async fn call(&self, name: &str, arguments: Value) -> Result<String, String> {
        let tool = self.tools.iter().find(|tool| tool.spec().name == name).unwrap();
        tool.call(arguments, &CancellationToken::new()).await.map_err(|error| error.to_string())
    }

    async fn fails(&self, name: &str, arguments: Value, expected: &str) {
        let error = self.call(name, arguments.clone()).await.unwrap_err();
        assert!(error.contains(expected), "{name} {arguments}: {error}");
    }
}

#[test]
fn each_tool_needs_its_capability() {
    let capabilities: Vec<_> = place().tools.iter().map(|tool| tool.capability()).collect();
    let (read, write) = (Capability::FilesRead, Capability::FilesWrite);
    assert_eq!(capabilities, [read, read, write, write]);
}

#[tokio::test]
async fn files_are_read_whole_or_by_lines() {
    let place = place();
    fs::write(place.dir.path().join("f"), "1\n2\n3\n4").unwrap();
    fs::write(place.dir.path().join("empty"), "").unwrap();
    let read = |arguments| place.call("read_file", arguments);
    assert_eq!(read(json!({ "path": "f" })).await.unwrap(), "1\n2\n3\n4");
    assert_eq!(read(json!({ "path": "empty" })).await.unwrap(), "");
    assert_eq!(read(json!({ "path": "empty", "limit": 3 })).await.unwrap(), "");
    assert_eq!(read(json!({ "path": "f", "offset": 3 })).await.unwrap(), "3\n4");
    assert_eq!(read(json!({ "path": "f", "offset": 3, "limit": 9 })).await.unwrap(), "3\n4");
    assert_eq!(
        read(json!({ "path": "f", "offset": 2, "limit": 2 })).await.unwrap(),
        "2\n3\n\n[the file goes on: continue with offset 4]"
    );
    assert_eq!(read(json!({ "path": "f", "limit": 4 })).await.unwrap(), "1\n2\n3\n4");
    place.fails("read_file", json!({ "path": "f", "offset": 9 }), "beyond the end: 4 lines").await;
}

#[tokio::test]
async fn reading_is_bounded_and_for_text() {
    let place = place();
    let max = usize::try_from(MAX_READ).unwrap();
    let file =
        |name: &str, content: &[u8]| fs::write(place.dir.path().join(name), content).unwrap();
    file("fits", &vec![b'x'; max]);
    file("large", &vec![b'x'; max + 1]);
    file("lines", "0123456789abcde\n".repeat(max / 8).as_bytes());
    file("zero", b"a\0b");
    file("latin", b"a\xffb");
    assert_eq!(place.call("read_file", json!({ "path": "fits" })).await.unwrap().len(), max);
    place.fails("read_file", json!({ "path": "large" }), "pass `offset` and `limit`").await;
    place.fails("read_file", json!({ "path": "large", "limit": 1 }), "single line").await;
    let part = place.call("read_file", json!({ "path": "lines", "offset": 2 })).await.unwrap();
    let next = max / 16 + 2;
    assert!(part.ends_with(&format!("continue with offset {next}]")));
    place.fails("read_file", json!({ "path": "zero" }), "not a text file").await;
    place.fails("read_file", json!({ "path": "latin", "limit": 1 }), "not a text file").await;
}

#[tokio::test]
async fn directories_are_listed_in_order() {
    let place = place();
    let root = place.dir.path();
    assert_eq!(place.call("list_dir", json!({})).await.unwrap(), "[empty]\n");
    fs::create_dir(root.join("sub")).unwrap();
    fs::write(root.join("file"), "abc").unwrap();
    fs::write(root.join(OsStr::from_bytes(b"n\xff\n")), "").unwrap();
    symlink("/etc", root.join("link")).unwrap();
    assert_eq!(
        place.call("list_dir", json!({ "path": "." })).await.unwrap(),
        "file         3 file\n\
         link           link -> /etc\n\
         file         0 n\u{fffd}\\n\n\
         dir            sub/\n"
    );
    place.fails("list_dir", json!({ "path": "file" }), "use `read_file`").await;
    place.fails("list_dir", json!({ "path": "link" }), "outside the workspace").await;
    for number in 0..1001 {
        fs::write(root.join(format!("sub/{number}")), "").unwrap();
    }
    let listed = place.call("list_dir", json!({ "path": "sub" })).await.unwrap();
    assert_eq!(listed.lines().count(), 1001);
    assert!(listed.ends_with("[1 more entries]\n"));
}

#[tokio::test]
async fn writing_says_what_it_did() {
    let place = place();
    let arguments = json!({ "path": "d/f", "content": "äb" });
    assert_eq!(place.call("write_file", arguments).await.unwrap(), "wrote 3 bytes to `d/f`");
    assert_eq!(fs::read_to_string(place.dir.path().join("d/f")).unwrap(), "äb");
    let max = usize::try_from(MAX_WRITE).unwrap();
    let large = "x".repeat(max + 1);
    place.fails("write_file", json!({ "path": "g", "content": large }), "in parts").await;
    place.fails("write_file", json!({ "path": "g" }), "argument `content` is missing").await;
    place.fails("write_file", json!({ "path": "../g", "content": "" }), "outside").await;
}

#[tokio::test]
async fn an_edit_needs_exactly_one_match() {
    let place = place();
    let path = place.dir.path().join("f");
    let edit = |old: &str, new: &str| {
        place.call("edit_file", json!({ "path": "f", "oldText": old, "newText": new }))
    };
    fs::write(&path, "one two two three aaa").unwrap();
    assert_eq!(edit("one", "1").await.unwrap(), "edited `f`");
    assert_eq!(edit("two three", "").await.unwrap(), "edited `f`");
    assert_eq!(fs::read_to_string(&path).unwrap(), "1 two  aaa");
    let check = async |old: &str, new: &str, expected: &str| {
        let error = edit(old, new).await.unwrap_err();
        assert!(error.contains(expected), "{error}");
    };
    check("four", "", "does not stand in `f`").await;
    check("a", "b", "stands 3 times").await;
    check("aa", "b", "stands 2 times").await;
    check("", "b", "is empty").await;
    check("1", "1", "is the same").await;
    assert_eq!(fs::read_to_string(&path).unwrap(), "1 two  aaa");
}
