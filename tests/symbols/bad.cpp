// Defines a weak symbol outside the namespace of a level.
template <class T>
T merged(T x) {
  return x + 1;
}
template int merged<int>(int);
