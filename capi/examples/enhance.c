/* Removes noise from 16-bit mono samples at 16 kHz, and tells where somebody speaks and which of two
 * words are said:
 *
 *   cc enhance.c -I ../include -L ../../target/debug -lformant_c -o enhance
 *   ./enhance < samples.raw > enhanced.raw
 *
 * All samples are pushed at once: where `live` is 0, pushing waits. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "formant.h"

enum { ROOM = 4096 };

static int fail(const char *what) {
    fprintf(stderr, "%s\n", what);
    return 1;
}

static void tell(const FormantEvent *event) {
    if (event->kind == FORMANT_EVENT_KIND_SPEECH)
        fprintf(stderr, "speech %.2f %.2f %s\n", event->start, event->end, event->text);
    else if (event->kind == FORMANT_EVENT_KIND_KEYWORD)
        fprintf(stderr, "word %.2f %.2f %s\n", event->start, event->end, event->text);
    else if (event->kind == FORMANT_EVENT_KIND_ENHANCING)
        fprintf(stderr, "latency %.2f\n", event->score);
}

/* Writes what is enhanced by now. */
static FormantStatus pass_on(FormantSession *session) {
    float samples[ROOM];
    size_t count;
    FormantStatus status;
    while ((status = formant_session_enhanced(session, samples, ROOM, &count, NULL)) ==
           FORMANT_STATUS_OK) {
        for (size_t n = 0; n < count; n++) {
            float x = samples[n] * 32768.0f;
            int16_t sample = x >= 32767.0f ? 32767 : x <= -32768.0f ? -32768 : (int16_t)x;
            fwrite(&sample, sizeof sample, 1, stdout);
        }
    }
    return status;
}

static int16_t *read_all(size_t *count) {
    size_t room = 1 << 16;
    int16_t *samples = malloc(room * sizeof *samples);
    *count = 0;
    while (samples && (*count += fread(samples + *count, sizeof *samples, room - *count, stdin)) == room)
        samples = realloc(samples, (room *= 2) * sizeof *samples);
    return samples;
}

int main(void) {
    size_t count;
    int16_t *samples = read_all(&count);
    float *block = malloc((count + 1) * sizeof *block);
    if (!samples || !block)
        return fail("no memory");
    for (size_t n = 0; n < count; n++)
        block[n] = (float)samples[n] / 32768.0f;

    FormantOptions options;
    if (formant_options_init(&options, sizeof options) != FORMANT_STATUS_OK)
        return fail(formant_last_error());
    options.live = 0;
    options.threads = 1;
    options.vad = 1;
    options.spot_model = "";
    options.spot_words = "yes, no";
    options.spot_thresholds = "no=0.9";
    options.enhance_model = "";
    options.attenuation_limit_db = 20;
    FormantSession *session = formant_session_new(&options);
    if (!session)
        return fail(formant_last_error());
    if (formant_session_push(session, block, count) != FORMANT_STATUS_OK)
        return fail(formant_last_error());
    formant_session_end(session);

    FormantEvent event;
    FormantStatus status;
    while ((status = formant_session_next(session, &event, 100)) != FORMANT_STATUS_OVER) {
        if (status == FORMANT_STATUS_OK)
            tell(&event);
        else if (status != FORMANT_STATUS_NOTHING)
            return fail(formant_last_error());
        pass_on(session);
    }
    status = pass_on(session);
    formant_session_free(session);
    free(samples);
    free(block);
    return status == FORMANT_STATUS_OVER ? 0 : 1;
}
