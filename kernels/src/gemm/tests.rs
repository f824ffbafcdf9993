use proptest::prelude::*;

use super::*;

/// Every way to make products here.
fn ways() -> impl Iterator<Item = Gemm> {
    Level::available().flat_map(|level| {
        [Precision::Single, Precision::Bf16]
            .into_iter()
            .filter_map(move |precision| Gemm::with_level(level, precision))
    })
}

/// Numbers that bf16 holds exactly, so that both precisions have the same products.
fn numbers(len: usize, seed: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 7919 + seed * 104_729) % 255) as f32 / 64.0 - 2.0).collect()
}

/// The definition.
fn product(left: Matrix<'_>, right: Matrix<'_>, start: impl Fn(usize, usize) -> f32) -> Vec<f64> {
    let ([rows, depth], [_, columns]) = (left.size(), right.size());
    let at = |matrix: Matrix<'_>, row, column| {
        let (values, stride) = matrix.row(row);
        f64::from(values[column * stride])
    };
    let one = |row, column| {
        let products = (0..depth).map(|k| at(left, row, k) * at(right, k, column));
        f64::from(start(row, column)) + products.sum::<f64>()
    };
    (0..rows).flat_map(|row| (0..columns).map(move |column| one(row, column))).collect()
}

/// Compares a product of any form, with operands that are transposed or not, with the definition.
fn check_product([rows, depth, columns]: [usize; 3], turned: [bool; 2], start: usize) {
    let left_values = numbers((rows + 3) * (depth + 3), 1);
    let right_values = numbers((depth + 3) * (columns + 3), 2);
    let matrix = |values, [rows, columns]: [usize; 2], turned: bool| match turned {
        true => Matrix::new(values, [columns, rows], [rows + 2, 1]).expect("fits").transposed(),
        false => Matrix::new(values, [rows, columns], [columns + 1, 1]).expect("fits"),
    };
    let left = matrix(&left_values, [rows, depth], turned[0]);
    let right = matrix(&right_values, [depth, columns], turned[1]);
    let bias = numbers(columns, 3);
    let stride = columns + 5;
    let before = numbers(rows * stride, 4);
    let wanted = product(left, right, |row, column| match start {
        0 => 0.0,
        1 => bias[column],
        _ => before[row * stride + column],
    });
    let start = [Start::Zero, Start::Bias(&bias), Start::Output][start];
    for gemm in ways() {
        let packed = gemm.pack(right);
        for right in [Right::Packed(&packed), Right::Plain(right)] {
            let mut values = before.clone();
            let mut out = MatrixMut::new(&mut values, [rows, columns], stride).expect("fits");
            let workspace = &mut Workspace::default();
            gemm.multiply(left, right, start, Activation::SquaredRelu, &mut out, workspace)
                .expect("fits");
            for (at, (&found, &before)) in values.iter().zip(&before).enumerate() {
                let (row, column) = (at / stride, at % stride);
                if column >= columns {
                    assert_eq!(found, before, "{gemm:?}: wrote beside the output");
                    continue;
                }
                let sum = wanted[row * columns + column];
                let wanted = sum.max(0.0).powi(2);
                let error = (f64::from(found) - wanted).abs();
                let limit = 1e-5 * (1.0 + sum.abs() * (1.0 + depth as f64));
                assert!(error <= limit, "{gemm:?} at {row}, {column}: {found}, not {wanted}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn products_equal_their_definition(
        size in [1usize..40, 0usize..50, 1usize..80],
        turned in [any::<bool>(), any::<bool>()],
        start in 0usize..3,
    ) {
        check_product(size, turned, start);
    }
}

#[test]
fn large_products_are_made_of_blocks() {
    check_product([600, 9, 33], [false, false], 1);
    check_product([15, 1100, 40], [true, false], 1);
    check_product([15, 1025, 40], [false, true], 2);
}

#[test]
fn bf16_rounds_to_the_nearest() {
    let Some(gemm) = Gemm::new(Precision::Bf16) else { return };
    // Half way between two numbers of 8 bits, just above it, and far above.
    let odd = [1.0 + 1.0 / 256.0, 1.0 + 3.0 / 256.0, 1.0 + 1.1 / 256.0, f32::INFINITY, 1.0, -0.0];
    let packed = gemm.pack(Matrix::dense(&odd, [1, 6]).expect("fits"));
    let rounded = [1.0, 1.0 + 4.0 / 256.0, 1.0 + 2.0 / 256.0, f32::INFINITY, 1.0, 0.0];
    assert_eq!(packed.transposed(), rounded);
    // The same by vectors: sixteen and more columns and steps.
    let long: Vec<f32> = odd[..3].iter().copied().cycle().take(96).collect();
    let ones = vec![1.0; 96 * 64];
    let multiply = |left: Matrix<'_>, right: Matrix<'_>| {
        let mut out = vec![0.0; left.size()[0] * right.size()[1]];
        let size = [left.size()[0], right.size()[1]];
        let view = &mut MatrixMut::dense(&mut out, size).expect("fits");
        let workspace = &mut Workspace::default();
        let right = Right::Plain(right);
        gemm.multiply(left, right, Start::Zero, Activation::Identity, view, workspace)
            .expect("fits");
        out
    };
    let sum: f32 = rounded[..3].iter().sum::<f32>() * 32.0;
    let ones = Matrix::dense(&ones, [96, 64]).expect("fits");
    let long = Matrix::dense(&long, [1, 96]).expect("fits");
    assert_eq!(multiply(long, ones), [sum; 64]);
    let column: Vec<f32> = multiply(ones.transposed(), long.transposed());
    assert_eq!(column, [sum; 64]);
}

#[test]
fn outputs_without_numbers_are_written_and_not_added_to() {
    let values = numbers(600, 1);
    let left = Matrix::dense(&values, [1, 600]).expect("fits");
    for gemm in ways() {
        let mut memory = [std::mem::MaybeUninit::<f32>::uninit(); 1];
        let mut run = |start: Start<'_>| {
            let out = &mut MatrixMut::uninit(&mut memory, [1, 1]).expect("fits");
            let right = Right::Plain(left.transposed());
            let workspace = &mut Workspace::default();
            gemm.multiply(left, right, start, Activation::Identity, out, workspace)
        };
        assert!(run(Start::Output).is_err());
        run(Start::Zero).expect("fits");
        // SAFETY: the product has written the only element.
        let found = unsafe { memory[0].assume_init() };
        assert_eq!(found, values.iter().map(|x| x * x).sum::<f32>(), "{gemm:?}");
    }
}

#[test]
fn sizes_that_do_not_fit_are_refused() {
    let gemm = Gemm::new(Precision::Single).expect("32 bits are always there");
    let values = [0.0; 12];
    let matrix = |size| Matrix::dense(&values, size).expect("fits");
    assert!(Matrix::dense(&values, [4, 4]).is_err());
    assert!(Matrix::new(&values, [3, 2], [usize::MAX, 1]).is_err());
    let mut memory = [0.0; 12];
    assert!(MatrixMut::new(&mut memory, [3, 4], 3).is_err());
    let mut run = |left, right: Right<'_>, start: Start<'_>| {
        let out = &mut MatrixMut::dense(&mut memory, [3, 2]).expect("fits");
        let workspace = &mut Workspace::default();
        gemm.multiply(matrix(left), right, start, Activation::Identity, out, workspace)
    };
    assert!(run([3, 4], Right::Plain(matrix([4, 2])), Start::Zero).is_ok());
    assert!(run([3, 4], Right::Plain(matrix([3, 2])), Start::Zero).is_err());
    assert!(run([2, 4], Right::Plain(matrix([4, 2])), Start::Zero).is_err());
    assert!(run([3, 4], Right::Plain(matrix([4, 2])), Start::Bias(&[0.0; 3])).is_err());
    if let Some(other) = Gemm::with_level(Level::Portable, Precision::Single)
        && other != gemm
    {
        assert!(run([3, 4], Right::Packed(&other.pack(matrix([4, 2]))), Start::Zero).is_err());
    }
}
