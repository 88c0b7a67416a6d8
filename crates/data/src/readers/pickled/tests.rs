//! Pickles of CIFAR, and others.

use super::*;

fn read(pickle: &[u8]) -> Result<PickleContent> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("batch");
    std::fs::write(&path, pickle).unwrap();
    PickleContent::read(&path)
}

#[test]
fn the_words_of_cifar_are_known() {
    let content = read(b"\x80\x02}q\x00(U\x06labelsq\x01]q\x02(K\x03M\x01\x01eU\x04noneNh\x01K\x01u.").unwrap();
    let labels = content.value(content.root, "labels").unwrap();
    assert_eq!(content.numbers(labels), Some(vec![3, 257]));
}

#[test]
fn an_array_is_its_shape_and_its_bytes() {
    let array = b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01K\x02K\x03\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x06abcdeftb.";
    let content = read(array).unwrap();
    let (shape, source) = content.bytes(content.node(content.root).unwrap()).unwrap();
    assert_eq!((shape, source.most()), (vec![2, 3], 6));
}

#[test]
fn nothing_else_is_known_and_nothing_is_called() {
    for (pickle, expected) in [
        (&b"\x80\x02cos\nsystem\nU\x02ls\x85R."[..], "`os.system`"),
        (b"\x80\x04N.", "protocol 4"),
        (b"\x80\x02cnumpy\nndarray\n)R.", "a call of something else"),
        (b"\x80\x02\x82\x01.", "the word 0x82"),
    ] {
        let error = read(pickle).unwrap_err();
        assert!(error.message.contains(expected) && error.hint.is_some(), "{error}");
    }
}

#[test]
fn a_pickle_that_lies_is_damaged() {
    for pickle in [
        &b"\x80\x02T\xff\xff\xff\x7fa."[..],
        b"\x80\x02e.",
        b"\x80\x02(.",
        b"\x80\x02\x86.",
        b"\x80\x02h\x01.",
        b".",
        b"\x80\x02K\x01K\x02a.",
    ] {
        assert!(read(pickle).unwrap_err().message.contains("is damaged"), "{pickle:?}");
    }
    assert!(read(b"\x80\x02K").unwrap_err().message.contains("cut off"));
}
