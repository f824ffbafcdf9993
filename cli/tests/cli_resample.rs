//! `formant resample`: lengths, levels, places of outputs.

mod support;

use support::{Parsed, Place, tone, wav};

/// S7: `ceil(n * out / in)` frames, and a tone keeps its level.
#[test]
fn s7_lengths_are_exact() {
    let lengths = [1usize, 2, 100, 1023, 44_100];
    for (from, to) in [(48_000u32, 16_000u32), (44_100, 16_000), (16_000, 48_000), (44_100, 48_000)]
    {
        let place = Place::new();
        for frames in lengths {
            let bytes = wav(from, 1, &tone(frames, from as f32, 1000.0));
            place.file(&format!("in/{frames}.wav"), &bytes);
        }
        place.run(&["resample", "in", "--rate", &to.to_string(), "-o", "out"]).code(0);
        for frames in lengths {
            let found = Parsed::of(&place.read(&format!("out/{frames}.wav")));
            let expected = (frames as u64 * u64::from(to)).div_ceil(u64::from(from));
            assert_eq!((found.rate, found.frames() as u64), (to, expected), "{from} {to} {frames}");
            if frames == 44_100 {
                let samples = found.f32();
                let middle = &samples[samples.len() / 4..samples.len() / 2];
                let peak = middle.iter().fold(0.0f32, |peak, x| peak.max(x.abs()));
                assert!((peak - 0.5).abs() < 1e-3, "{peak}");
            }
        }
    }
}

#[test]
fn names_tell_the_rate() {
    let place = Place::new();
    place.file("a.wav", &wav(48_000, 2, &tone(960, 48_000.0, 440.0)));
    place.run(&["resample", "a.wav", "--rate", "16000"]).code(0);
    place.run(&["resample", "a.wav", "--rate", "22050", "--quality", "fast"]).code(0);
    assert_eq!(place.files(), ["a.wav", "a_16k.wav", "a_22050.wav"]);
    let line = &place.run(&["resample", "a.wav", "--rate", "8000", "--json"]).code(0).json()[0];
    assert_eq!(
        (&line["type"], &line["rate"], &line["frames"], &line["channels"]),
        (&"resample".into(), &8000.into(), &80.into(), &2.into())
    );
}

#[test]
fn rates_are_checked() {
    let place = Place::new();
    place.wav("a.wav", &tone(160, 16_000.0, 440.0));
    place.run(&["resample", "a.wav"]).code(2).says("--rate");
    place.run(&["resample", "a.wav", "--rate", "0"]).code(2);
    place
        .run(&["resample", "a.wav", "--rate", "8000", "--quality", "perfect"])
        .code(2)
        .says("best");
}

#[test]
fn a_batch_goes_on_where_it_was_stopped() {
    let place = Place::new();
    for n in 0..5 {
        place.wav(&format!("in/{n}.wav"), &tone(320, 16_000.0, 440.0));
    }
    let run = |more: &[&str]| {
        let arguments: Vec<&str> =
            ["resample", "in", "--rate", "8000", "-o", "out"].iter().chain(more).copied().collect();
        place.run(&arguments)
    };
    run(&["--shard", "1/2"]).code(0).says("3 of 3 done");
    let first = place.read("out/0.wav");
    run(&["--resume"]).code(0).says("2 of 5 done, 3 were there already");
    assert_eq!(place.read("out/0.wav"), first);
    assert_eq!(place.files().iter().filter(|name| name.starts_with("out/")).count(), 5);
}
