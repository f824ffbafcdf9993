//! The fitted numbers of the detector: a logistic regression on the features and on the products
//! of the nine that describe the frame as a whole.
//!
//! Fitted on speech of LibriSpeech and Common Voice with pauses, in rain, sea, fire, engine and
//! clock noise at 20 to 0 dB and clean, and on silence, hum, tones and noise alone.

/// Means of the features.
pub(super) const MEAN: [f32; 25] = [
    0.99909, 2.4607, 0.69726, 0.99902, 0.99923, 0.58152, 0.82923, -2.4273, 1.0338, 1.544, 1.6661,
    1.6222, 1.567, 1.3671, 1.1646, 0.98524, 0.88736, 0.81759, 0.78972, 0.7342, 0.67691, 0.66261,
    0.59648, 0.48403, 0.42083,
];

/// Standard deviations of the features.
pub(super) const DEVIATION: [f32; 25] = [
    1.6483, 2.1325, 1.5522, 1.5469, 1.3818, 0.25941, 0.27048, 1.8309, 0.71625, 2.1369, 2.2165,
    2.2093, 2.1939, 2.0758, 1.9364, 1.8363, 1.7665, 1.7196, 1.7146, 1.6716, 1.6259, 1.6419, 1.6046,
    1.5415, 1.5241,
];

/// Weights of the standardised features.
pub(super) const LINEAR: [f32; 25] = [
    -0.037078, 0.63392, -0.50725, 0.030017, 1.167, -0.10043, 1.0669, -0.58786, 1.0201, -0.0017189,
    0.13302, 0.42628, 0.32374, -0.10565, -0.22297, 0.074755, -0.17125, -0.16023, -0.15267, -0.1132,
    -0.20522, 0.11831, -0.086837, -0.13825, 0.54654,
];

/// Weights of the products, by rows of the upper triangle with the diagonal.
pub(super) const QUADRATIC: [f32; 45] = [
    -0.41649, 0.0071732, 0.78714, 0.6734, 0.95914, 0.20519, -0.65236, -0.4109, 0.16465, 0.23608,
    -0.1603, 0.72275, -1.9056, 0.098225, 0.11353, -0.001431, 0.11811, -0.050744, -0.12207,
    -0.40848, 0.098992, -0.15415, -0.097303, 0.016751, -1.4602, 0.76996, 0.96379, -1.0771, 0.25535,
    0.028855, -0.29196, -1.3663, 1.8705, -0.70935, 0.94497, -0.28977, -0.15852, -0.46723, 0.16722,
    -0.69385, -0.43204, 0.76851, -0.21905, 0.025105, -1.0053,
];

/// The constant term.
pub(super) const OFFSET: f32 = 1.0197;
