/* formant: live sessions for applications in C and other languages.
 *
 * Made from the Rust sources of capi/; docs/streaming.md describes how it is used.
 *
 * Licence: MIT OR Apache-2.0. */

#ifndef FORMANT_H
#define FORMANT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

// What came of a call.
typedef enum FormantStatus {
  // Done.
  FORMANT_STATUS_OK = 0,
  // Nothing to tell yet.
  FORMANT_STATUS_NOTHING = 1,
  // There was no room for the samples; they are lost, and the session tells of the gap. Only where
  // `live` is 1.
  FORMANT_STATUS_OVERRUN = 2,
  // The session is over, and all events were taken.
  FORMANT_STATUS_OVER = 3,
  // An argument is null or out of its range.
  FORMANT_STATUS_BAD_ARGUMENT = -1,
  // A model or a file of voices can't be used.
  FORMANT_STATUS_MODEL = -2,
  // The session failed.
  FORMANT_STATUS_FAILED = -3,
  // Another thread is in the same function of this session.
  FORMANT_STATUS_BUSY = -4,
  // A fault of formant.
  FORMANT_STATUS_INTERNAL = -70,
} FormantStatus;

// Kinds of events; `json` in the event has all details.
typedef enum FormantEventKind {
  // The session has begun.
  FORMANT_EVENT_KIND_STARTED = 0,
  // How loud it was: `score` is the peak in dB below full scale, -200 for silence.
  FORMANT_EVENT_KIND_LEVEL = 1,
  // Samples were lost; a gap follows.
  FORMANT_EVENT_KIND_OVERRUN = 2,
  // Nothing was heard from `start` to `end`: `text` says why.
  FORMANT_EVENT_KIND_GAP = 3,
  // What has been understood of speech that goes on: `text`.
  FORMANT_EVENT_KIND_PARTIAL = 4,
  // A stretch of speech that will not change: `text`, `score` is the confidence.
  FORMANT_EVENT_KIND_FINAL = 5,
  // The word `text` was found, with `score`.
  FORMANT_EVENT_KIND_KEYWORD = 6,
  // The voice of `text` is heard; empty for an unknown one.
  FORMANT_EVENT_KIND_SPEAKER = 7,
  // The session is over: `text` says why; after `failed`, `formant_last_error` says more.
  FORMANT_EVENT_KIND_FINISHED = 8,
  // Somebody speaks from `start` on: `text` is `ongoing` when that is first known, and `ended` when
  // `end` is.
  FORMANT_EVENT_KIND_SPEECH = 9,
  // Enhancement has begun: `score` is its latency in seconds.
  FORMANT_EVENT_KIND_ENHANCING = 10,
  // Enhanced audio from `start` to `end` waits for `formant_session_enhanced`.
  FORMANT_EVENT_KIND_ENHANCED = 11,
  // A kind that this version of the header does not know.
  FORMANT_EVENT_KIND_OTHER = 100,
} FormantEventKind;

// A live session. One thread may push while another takes events.
typedef struct FormantSession FormantSession;

// What a session is made of. Fill it with `formant_options_init` first, then change what you need.
//
// Later versions add fields at the end. `struct_size` tells the library which of them the
// application knows: fields behind it have their defaults, so that applications which were compiled
// with an older header keep working. A library that is older than the header refuses options that
// are larger than it knows.
//
// The names of models are those of `formant models list`, or paths; an empty text means the default
// model of the task, and null that the task is left out. A session without any task is allowed: it
// tells of its beginning, of levels, gaps and its end.
typedef struct FormantOptions {
  // The size of this struct in bytes, as `formant_options_init` writes it.
  size_t struct_size;
  // Rate of the samples that will be pushed, in Hz; any from 8000 to 192000.
  uint32_t rate;
  // Their interleaved channels, 1 to 256; they are mixed.
  uint16_t channels;
  // Whether samples come from a device that does not wait: 1. Then a task that is too slow skips
  // to the newest second. 0 for samples from a file: then pushing waits, and nothing is lost.
  uint8_t live;
  // Keyword model.
  const char *spot_model;
  // Score from 0 to 1 that a word needs; 0 for that of the model.
  float spot_threshold;
  // Recogniser.
  const char *transcribe_model;
  // Speaker model; it needs `voices`.
  const char *speaker_model;
  // The file of known voices, as `formant speaker enroll` makes it.
  const char *voices;
  // Milliseconds from one level event to the next; 0 for none.
  uint32_t level_ms;
  // Threads that one network may use; 0 leaves them as they are.
  uint32_t threads;
  // Words that the keyword model looks for, separated by commas; null or empty for all.
  const char *spot_words;
  // Scores that single words need, such as `yes=0.8,no=0.6`; they win over `spot_threshold`. Null
  // for none.
  const char *spot_thresholds;
  // Phrases that the recogniser expects, separated by commas; `phrase:2.5` has its own boost. Null
  // for none.
  const char *hotwords;
  // Numbers that networks compute with: `f32` (also null) or `bf16`.
  const char *precision;
  // Enhancement model; its audio is taken with `formant_session_enhanced`.
  const char *enhance_model;
  // Score above which voices are those of one speaker; 0 for that of the model.
  float speaker_threshold;
  // Milliseconds of audio from one partial transcript to the next; 0 for 500.
  uint32_t partial_ms;
  // Latency of enhanced audio in milliseconds; 0 for 500.
  uint32_t enhance_latency_ms;
  // By how many dB enhancement turns noise down at most; 0 for all of it.
  float attenuation_limit_db;
  // Whether events tell where somebody speaks: 1, or 0.
  uint32_t vad;
  // Probability from which speech begins, above 0.15 and below 1; 0 for 0.5.
  float vad_threshold;
} FormantOptions;

// Something that happened. The texts are valid until the next call of `formant_session_next` or
// `formant_session_free` with the same session.
typedef struct FormantEvent {
  // Its kind.
  enum FormantEventKind kind;
  // Where it begins, in seconds of the stream.
  double start;
  // Where it ends.
  double end;
  // A number that the kind explains; 0 where it has none.
  double score;
  // A text that the kind explains; empty where it has none. Never null.
  const char *text;
  // The event as JSON, as `formant listen --json` prints it. Never null.
  const char *json;
} FormantEvent;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// What went wrong in the last call of this thread that failed; empty when none did. The text is
// valid until the next call that fails.
const char *formant_last_error(void);

// Fills options with their defaults: 16000 Hz, one channel, live, and no task. `struct_size` is
// `sizeof(FormantOptions)`.
//
// # Safety
// `options` is null or points to `struct_size` bytes that may be written.
enum FormantStatus formant_options_init(struct FormantOptions *options, size_t struct_size);

// The version of formant, such as `0.1.0`.
const char *formant_version(void);

// Loads the models and begins a session; null when that fails, see `formant_last_error`.
//
// # Safety
// `options` is null or points to options that `formant_options_init` has filled, of the size in
// their `struct_size`, whose texts are null or end with a null byte.
struct FormantSession *formant_session_new(const struct FormantOptions *options);

// Pushes `frames` frames of interleaved samples, nominally from -1 to 1. Where `live` is 1 it never
// waits, and where it succeeds never allocates, so that an audio callback may call it. Where `live`
// is 0 it takes any number of frames and waits until there was room for all; it is an error when
// the session ends before.
//
// # Safety
// `session` is null or comes from `formant_session_new` and was not freed; `samples` is null or
// points to `frames` times the session's channels samples.
enum FormantStatus formant_session_push(struct FormantSession *session,
                                        const float *samples,
                                        size_t frames);

// Frames that a push would take now, without waiting; 0 for a session that takes none.
//
// # Safety
// `session` is null or comes from `formant_session_new` and was not freed.
size_t formant_session_room(const struct FormantSession *session);

// Says that no more samples will come. What was pushed is still heard; events follow, the last one
// of the kind finished.
//
// # Safety
// `session` is null or comes from `formant_session_new` and was not freed.
enum FormantStatus formant_session_end(struct FormantSession *session);

// Takes the next event, waiting for it up to `patience_ms` milliseconds: ok with an event, nothing,
// or over after the last one.
//
// # Safety
// `session` is null or comes from `formant_session_new` and was not freed; `event` is null or
// points to a `FormantEvent` that may be written.
enum FormantStatus formant_session_next(struct FormantSession *session,
                                        struct FormantEvent *event,
                                        uint32_t patience_ms);

// Ends a session at once and frees it; null is allowed.
//
// # Safety
// `session` is null or comes from `formant_session_new` and was not freed; no other thread uses it.
void formant_session_free(struct FormantSession *session);

// Takes up to `room` frames of enhanced audio, mono at the rate of the session: ok with `count`
// frames, nothing while there are none, over after the last ones. `position` is the frame of the
// session at the first of them and may be null; it jumps where a live session gave more than 60
// seconds that were not taken. What was not heard is silence.
//
// # Safety
// `session` is null or comes from `formant_session_new` and was not freed; `samples` is null or
// points to `room` samples that may be written; `count` and `position` are null or may be written.
enum FormantStatus formant_session_enhanced(struct FormantSession *session,
                                            float *samples,
                                            size_t room,
                                            size_t *count,
                                            uint64_t *position);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* FORMANT_H */
