/* Finds the default command words in 16-bit mono samples at 16 kHz:
 *
 *   cc spot.c -I ../include -L ../../target/debug -lformant_c -o spot
 *   ./spot < samples.raw
 *
 * An application with a microphone calls formant_session_push from its audio callback instead. */

#include <stdint.h>
#include <stdio.h>

#include "formant.h"

enum { FRAMES = 333 }; /* any block size will do */

static int tell(FormantSession *session, uint32_t patience_ms) {
    FormantEvent event;
    FormantStatus status;
    while ((status = formant_session_next(session, &event, patience_ms)) == FORMANT_STATUS_OK) {
        if (event.kind == FORMANT_EVENT_KIND_KEYWORD)
            printf("%.2f %.2f %.3f %s\n", event.start, event.end, event.score, event.text);
        else if (event.kind == FORMANT_EVENT_KIND_GAP)
            fprintf(stderr, "%.2f to %.2f not heard: %s\n", event.start, event.end, event.text);
    }
    return status == FORMANT_STATUS_NOTHING ? 0 : (int)status;
}

int main(void) {
    FormantOptions options;
    if (formant_options_init(&options, sizeof options) != FORMANT_STATUS_OK) {
        fprintf(stderr, "%s\n", formant_last_error());
        return 1;
    }
    options.spot_model = ""; /* the bundled one */
    options.live = 0;        /* standard input waits */
    options.threads = 1;
    FormantSession *session = formant_session_new(&options);
    if (!session) {
        fprintf(stderr, "%s\n", formant_last_error());
        return 1;
    }
    int16_t samples[FRAMES];
    float block[FRAMES];
    size_t count;
    while ((count = fread(samples, sizeof samples[0], FRAMES, stdin)) > 0) {
        for (size_t n = 0; n < count; n++)
            block[n] = (float)samples[n] / 32768.0f;
        while (formant_session_room(session) < count)
            tell(session, 10);
        if (formant_session_push(session, block, count) != FORMANT_STATUS_OK) {
            fprintf(stderr, "%s\n", formant_last_error());
            formant_session_free(session);
            return 1;
        }
        tell(session, 0);
    }
    formant_session_end(session);
    int status;
    while ((status = tell(session, 100)) == 0) {
    }
    formant_session_free(session);
    return status == FORMANT_STATUS_OVER ? 0 : 1;
}
