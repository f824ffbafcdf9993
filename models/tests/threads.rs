//! The threads of kernels follow libtorch's setting. The only test of its process, which the setting
//! is of.

#[test]
fn kernels_use_as_many_threads_as_libtorch() {
    for threads in [1, 3, 2] {
        tch::set_num_threads(threads);
        assert_eq!(formant_models::nn::threads::threads(), threads as usize);
    }
}
