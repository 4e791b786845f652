// What each file of the extension adds to the module.
#pragma once

#include <nanobind/nanobind.h>

void register_arrow(nanobind::module_& module);
void register_pdq(nanobind::module_& module);
void register_keypoints(nanobind::module_& module);
void register_confinement(nanobind::module_& module);
void register_index(nanobind::module_& module);
void register_folder(nanobind::module_& module);
