#include "register.hpp"

NB_MODULE(_native, module) {
  module.doc() = "The native kernel: PDQ fingerprints and the Hamming indexes. Signatures and units stand in _native.pyi.";
  register_arrow(module);
  register_pdq(module);
  register_keypoints(module);
  register_confinement(module);
  register_index(module);
  register_folder(module);
}
