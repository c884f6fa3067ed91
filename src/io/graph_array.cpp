#include "io/graph_array.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "emshap/core/error.h"

namespace emshap::io {
namespace {

std::int64_t count_of(const std::vector<std::int64_t>& dims) {
  std::int64_t count = 1;
  for (const std::int64_t extent : dims) count *= extent;
  return count;
}

/// Step of each axis of `out` in an array of extents `dims`: 0 where it is repeated.
std::vector<std::int64_t> steps(const std::vector<std::int64_t>& dims, const std::vector<std::int64_t>& out) {
  std::vector<std::int64_t> result(out.size(), 0);
  std::int64_t step = 1;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    const std::size_t from = dims.size() - 1 - i, to = out.size() - 1 - i;
    if (dims[from] != 1) result[to] = step;
    step *= dims[from];
  }
  return result;
}

/// Calls visit(offset in a, in b, in c) for every element of `out` in row-major order.
template <class Visit>
void walk(const std::vector<std::int64_t>& out, const std::vector<std::int64_t>& a,
          const std::vector<std::int64_t>& b, const std::vector<std::int64_t>& c, const Visit& visit) {
  const std::size_t rank = out.size();
  std::vector<std::int64_t> at(rank, 0);
  std::int64_t i = 0, j = 0, k = 0;
  for (std::int64_t left = count_of(out); left > 0; --left) {
    visit(i, j, k);
    for (std::size_t axis = rank; axis-- > 0;) {
      i += a[axis], j += b[axis], k += c[axis];
      if (++at[axis] < out[axis]) break;
      i -= a[axis] * out[axis], j -= b[axis] * out[axis], k -= c[axis] * out[axis];
      at[axis] = 0;
    }
  }
}

}  // namespace

Array Array::zeros(std::int32_t type, std::vector<std::int64_t> dims) {
  Array a{type, std::move(dims), {}};
  a.v.assign(static_cast<std::size_t>(count_of(a.dims)), 0.0);
  return a;
}

void Array::round() {
  if (type == onnx::TensorProto::FLOAT)
    for (double& value : v) value = static_cast<double>(static_cast<float>(value));
}

std::size_t axis_of(const Array& a, std::int64_t axis) {
  const std::int64_t result = axis < 0 ? axis + a.rank() : axis;
  if (result < 0 || result >= a.rank())
    throw IoError(fmt::format("axis {} of an array with {} axes was asked for", axis, a.rank()));
  return static_cast<std::size_t>(result);
}

Around around(const Array& a, std::size_t axis) {
  Around result;
  for (std::size_t i = 0; i < a.dims.size(); ++i)
    (i < axis ? result.before : i == axis ? result.extent : result.after) *= a.dims[i];
  return result;
}

std::vector<std::int64_t> joined(const std::vector<std::int64_t>& a, const std::vector<std::int64_t>& b) {
  std::vector<std::int64_t> out(std::max(a.size(), b.size()), 1);
  for (const auto* dims : {&a, &b})
    for (std::size_t i = 0; i < dims->size(); ++i) {
      std::int64_t& extent = out[out.size() - 1 - i];
      const std::int64_t own = (*dims)[dims->size() - 1 - i];
      if (extent != 1 && own != 1 && extent != own)
        throw IoError(fmt::format("shapes ({}) and ({}) do not fit", fmt::join(a, ", "), fmt::join(b, ", ")));
      if (own != 1) extent = own;
    }
  return out;
}

Array broadcast(std::int32_t type, const Array& a, const Array& b,
                const std::function<double(double, double)>& f) {
  if (a.dims == b.dims || b.dims.empty()) {
    Array out{type, a.dims, a.v};
    for (std::size_t i = 0; i < out.v.size(); ++i) out.v[i] = f(a.v[i], b.v[b.dims.empty() ? 0 : i]);
    out.round();
    return out;
  }
  return broadcast(type, a, b, Array{type, {}, {0}}, [&](double x, double y, double) { return f(x, y); });
}

Array broadcast(std::int32_t type, const Array& a, const Array& b, const Array& c,
                const std::function<double(double, double, double)>& f) {
  Array out{type, joined(joined(a.dims, b.dims), c.dims), {}};
  out.v.reserve(static_cast<std::size_t>(count_of(out.dims)));
  walk(out.dims, steps(a.dims, out.dims), steps(b.dims, out.dims), steps(c.dims, out.dims),
       [&](std::int64_t i, std::int64_t j, std::int64_t k) {
         out.v.push_back(f(a.v[static_cast<std::size_t>(i)], b.v[static_cast<std::size_t>(j)],
                           c.v[static_cast<std::size_t>(k)]));
       });
  out.round();
  return out;
}

Array product(const Array& a, const Array& b) {
  const bool batched = b.rank() > 2;
  bool fits =
      b.rank() >= 2 && a.rank() >= (batched ? b.rank() : 1) && a.dims.back() == b.dims[b.dims.size() - 2];
  if (fits && batched)
    fits = a.rank() == b.rank() && std::equal(a.dims.begin(), a.dims.end() - 2, b.dims.begin());
  if (!fits)
    throw IoError(fmt::format("a product of shapes ({}) and ({}) is not supported", fmt::join(a.dims, ", "),
                              fmt::join(b.dims, ", ")));
  const std::int64_t inner = a.dims.back(), columns = b.dims.back();
  std::vector<std::int64_t> dims = a.dims;
  dims.back() = columns;
  Array out = Array::zeros(a.type, dims);
  const std::int64_t rows = inner == 0 ? 0 : a.elements() / inner;
  const std::int64_t of_matrix = batched ? a.dims[a.dims.size() - 2] : std::max<std::int64_t>(rows, 1);
  for (std::int64_t r = 0; r < rows; ++r) {
    const double* left = a.v.data() + r * inner;
    const double* right = b.v.data() + r / of_matrix * inner * columns;
    double* to = out.v.data() + r * columns;
    for (std::int64_t i = 0; i < inner; ++i)
      for (std::int64_t c = 0; c < columns; ++c) to[c] += left[i] * right[i * columns + c];
  }
  out.round();
  return out;
}

Array transposed(const Array& a, const std::vector<std::int64_t>& perm) {
  const std::vector<std::int64_t> own = steps(a.dims, a.dims);
  Array out{a.type, {}, {}};
  std::vector<std::int64_t> step;
  for (const std::int64_t axis : perm) {
    out.dims.push_back(a.dims[axis_of(a, axis)]);
    step.push_back(own[axis_of(a, axis)]);
  }
  const std::vector<std::int64_t> still(perm.size(), 0);
  walk(out.dims, step, still, still, [&](std::int64_t i, std::int64_t, std::int64_t) {
    out.v.push_back(a.v[static_cast<std::size_t>(i)]);
  });
  return out;
}

Array gathered(const Array& a, const Array& indices, std::size_t axis) {
  const auto [before, extent, after] = around(a, axis);
  Array out{a.type, {a.dims.begin(), a.dims.begin() + static_cast<std::ptrdiff_t>(axis)}, {}};
  out.dims.insert(out.dims.end(), indices.dims.begin(), indices.dims.end());
  out.dims.insert(out.dims.end(), a.dims.begin() + static_cast<std::ptrdiff_t>(axis) + 1, a.dims.end());
  for (std::int64_t r = 0; r < before; ++r)
    for (const double index : indices.v) {
      const std::int64_t i = static_cast<std::int64_t>(index) + (index < 0 ? extent : 0);
      if (i < 0 || i >= extent) throw IoError(fmt::format("Gather asks for entry {} of {}", i, extent));
      const auto from = a.v.begin() + static_cast<std::ptrdiff_t>((r * extent + i) * after);
      out.v.insert(out.v.end(), from, from + static_cast<std::ptrdiff_t>(after));
    }
  return out;
}

Array concatenated(const std::vector<const Array*>& parts, std::int64_t axis_number) {
  const std::size_t axis = axis_of(*parts.at(0), axis_number);
  Array out{parts[0]->type, parts[0]->dims, {}};
  out.dims[axis] = 0;
  for (const Array* part : parts) out.dims[axis] += part->dims.at(axis);
  const std::int64_t before = around(*parts[0], axis).before;
  for (std::int64_t r = 0; r < before; ++r)
    for (const Array* part : parts) {
      const Around shape = around(*part, axis);
      if (shape.before != before) throw IoError("Concat joins arrays whose shapes do not fit");
      const auto run = static_cast<std::ptrdiff_t>(shape.extent * shape.after);
      out.v.insert(out.v.end(), part->v.begin() + r * run, part->v.begin() + (r + 1) * run);
    }
  return out;
}

Array sliced(const Array& a, std::size_t axis, std::int64_t begin, std::int64_t end) {
  Array indices{onnx::TensorProto::INT64, {std::max<std::int64_t>(0, end - begin)}, {}};
  for (std::int64_t i = begin; i < end; ++i) indices.v.push_back(static_cast<double>(i));
  return gathered(a, indices, axis);
}

Array summed(const Array& a, std::size_t axis, bool keep) {
  const auto [before, extent, after] = around(a, axis);
  std::vector<std::int64_t> dims = a.dims;
  dims[axis] = 1;
  Array out = Array::zeros(a.type, dims);
  for (std::int64_t r = 0; r < before; ++r)
    for (std::int64_t i = 0; i < extent; ++i)
      for (std::int64_t c = 0; c < after; ++c)
        out.v[static_cast<std::size_t>(r * after + c)] +=
            a.v[static_cast<std::size_t>((r * extent + i) * after + c)];
  if (!keep) out.dims.erase(out.dims.begin() + static_cast<std::ptrdiff_t>(axis));
  out.round();
  return out;
}

Array log_softmax(const Array& a, std::size_t axis) {
  const auto [before, extent, after] = around(a, axis);
  Array out = a;
  for (std::int64_t r = 0; r < before; ++r)
    for (std::int64_t c = 0; c < after; ++c) {
      const auto at = [&](std::int64_t i) -> double& {
        return out.v[static_cast<std::size_t>((r * extent + i) * after + c)];
      };
      double most = -HUGE_VAL, sum = 0;
      for (std::int64_t i = 0; i < extent; ++i) most = std::max(most, at(i));
      for (std::int64_t i = 0; i < extent; ++i) sum += std::exp(at(i) - most);
      for (std::int64_t i = 0; i < extent; ++i) at(i) -= most + std::log(sum);
    }
  out.round();
  return out;
}

Array gru_states(const Array& x, const Array& w, const Array& r, const Array& bias, const Array& start) {
  if (x.rank() != 3 || start.rank() != 3 || w.rank() != 3 || r.rank() != 3)
    throw IoError("a GRU's inputs have a rank other than 3");
  const std::int64_t steps = x.dims[0], rows = x.dims[1], inputs = x.dims[2], hidden = start.dims[2];
  const auto n = [](std::int64_t i) { return static_cast<std::size_t>(i); };
  if (w.elements() != 3 * hidden * inputs || r.elements() != 3 * hidden * hidden ||
      bias.elements() != 6 * hidden || start.elements() != rows * hidden)
    throw IoError("a GRU's inputs do not fit together");
  Array out{x.type, {steps, 1, rows, hidden}, {}};
  std::vector<double> state = start.v, a(n(3 * hidden)), b(n(3 * hidden));
  const auto sigmoid = [](double value) { return 1 / (1 + std::exp(-value)); };
  for (std::int64_t t = 0; t < steps; ++t)
    for (std::int64_t row = 0; row < rows; ++row) {
      double* h = state.data() + row * hidden;
      const double* in = x.v.data() + (t * rows + row) * inputs;
      for (std::int64_t j = 0; j < 3 * hidden; ++j) {
        a[n(j)] = bias.v[n(j)];
        b[n(j)] = bias.v[n(3 * hidden + j)];
        for (std::int64_t i = 0; i < inputs; ++i) a[n(j)] += in[i] * w.v[n(j * inputs + i)];
        for (std::int64_t i = 0; i < hidden; ++i) b[n(j)] += h[i] * r.v[n(j * hidden + i)];
      }
      for (std::int64_t j = 0; j < hidden; ++j) {
        const double z = static_cast<float>(sigmoid(a[n(j)] + b[n(j)]));
        const double reset = sigmoid(a[n(hidden + j)] + b[n(hidden + j)]);
        const double next = std::tanh(a[n(2 * hidden + j)] + reset * b[n(2 * hidden + j)]);
        h[j] = static_cast<double>(static_cast<float>((1 - z) * next + z * h[j]));
      }
      out.v.insert(out.v.end(), h, h + hidden);
    }
  return out;
}

}  // namespace emshap::io
